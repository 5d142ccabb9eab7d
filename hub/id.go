package hub

import (
	"strconv"
	"strings"
)

// epochLen is the length of what tells hubs apart, 5 bits a byte.
const epochLen = 8

// id returns the ID of an event, of at most 29 bytes that need no preflight.
func (h *Hub) id(number uint64) string {
	var b [epochLen + 1 + 20]byte
	id := append(b[:0], h.epoch...)
	id = append(id, '-')
	return string(strconv.AppendUint(id, number, 10))
}

// parseID undoes id.
func parseID(id string) (epoch string, number uint64, ok bool) {
	epoch, digits, _ := strings.Cut(id, "-")
	number, err := strconv.ParseUint(digits, 10, 64)
	ok = err == nil && len(epoch) == epochLen && strings.Trim(epoch, "abcdefghijklmnopqrstuvwxyz234567") == "" &&
		(digits == "0" || digits[0] != '0') // one ID for each event
	return epoch, number, ok
}
