package hub

import (
	"strconv"

	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// id returns the ID of an event, of at most 29 bytes that need no preflight.
func (h *Hub) id(number uint64) string {
	var b [eventid.EpochLen + 1 + 20]byte
	id := append(b[:0], h.epoch...)
	id = append(id, '-')
	return string(strconv.AppendUint(id, number, 10))
}

// parseID undoes id.
func parseID(id string) (epoch string, number uint64, ok bool) {
	epoch, digits, ok := eventid.Cut(id)
	if !ok {
		return "", 0, false
	}
	number, ok = eventid.ParseNumber(digits)
	return epoch, number, ok
}
