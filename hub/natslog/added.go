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

// add remembers a message, and forgets the one whose number is smaller by mostAdded.
func (a *added) add(sequence, sum uint64) {
	p := &a[sequence%mostAdded]
	p.sequence, p.sum = sequence, sum
}

// find returns the sum of the message that was added under that number, if it is remembered.
func (a *added) find(sequence uint64) (sum uint64, ok bool) {
	if a == nil {
		return 0, false
	}
	p := &a[sequence%mostAdded]
	return p.sum, p.sequence == sequence
}

var seed = maphash.MakeSeed()

// sumOf leaves out the subject, because the server may be configured to change it.
func sumOf(m *nats.Msg) uint64 {
	sum := maphash.Bytes(seed, m.Data)
	for _, name := range []string{headerType, headerKey, headerTopics, headerAttributes, headerComment, headerRetry, nats.MsgIdHdr} {
		sum = 31*sum + maphash.String(seed, m.Header.Get(name))
	}
	return sum
}
