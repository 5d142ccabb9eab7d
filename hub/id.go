package hub

import (
	"strconv"

	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// id returns the ID of an event: at most 29 bytes, none of which needs a preflight.
func (h *Hub) id(number uint64) string {
	var b [eventid.EpochLen + 1 + 20]byte
	id := append(b[:0], h.epoch...)
	id = append(id, '-')
	return string(strconv.AppendUint(id, number, 10))
}

// parseID is the inverse of id.
func parseID(id string) (epoch string, number uint64, ok bool) {
	epoch, digits, ok := eventid.Cut(id)
	if !ok {
		return "", 0, false
	}
	number, ok = eventid.ParseNumber(digits)
	return epoch, number, ok
}
