package hub

import (
	"strconv"

	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// maxID is how many bytes an ID has at most.
const maxID = eventid.EpochLen + 1 + 20

// id returns the ID of an event. No byte of it needs a preflight.
func (h *Hub) id(number uint64) string {
	var b [maxID]byte
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
