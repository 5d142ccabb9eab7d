package natslog

import (
	"hash/maphash"

	"github.com/nats-io/nats.go"
)

// mostAdded is how many messages are remembered.
const mostAdded = 4096

// added is what a process has added in an epoch, as far as it is remembered. The server gives the numbers
// of lost messages to others, so a number does not say that a message is still there.
type added [mostAdded]struct {
	sequence uint64
	sum      uint64
}

// add remembers a message, and forgets the one that was added mostAdded numbers before.
func (a *added) add(sequence uint64, m *nats.Msg) {
	p := &a[sequence%mostAdded]
	p.sequence, p.sum = sequence, sumOf(m)
}

// differs reports whether a message is not the one that was added under that number.
func (a *added) differs(sequence uint64, m *nats.Msg) bool {
	if a == nil {
		return false
	}
	p := &a[sequence%mostAdded]
	return p.sequence == sequence && p.sum != sumOf(m)
}

var seed = maphash.MakeSeed()

// sumOf leaves out the subject, because the server may be configured to change it.
func sumOf(m *nats.Msg) uint64 {
	sum := maphash.Bytes(seed, m.Data)
	for _, name := range []string{headerType, headerKey, headerTopics, headerAttributes, nats.MsgIdHdr} {
		sum = 31*sum + maphash.String(seed, m.Header.Get(name))
	}
	return sum
}
