package natslog

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/yieldsse/yieldsse/hub/internal/eventid"
)

// newEpoch returns what distinguishes the sequence numbers of a stream from those of
// another one, or of the same one before it has lost its end.
func newEpoch(info *jetstream.StreamInfo) string {
	sum := sha256.Sum256([]byte(strconv.FormatInt(info.Created.UnixNano(), 10) + info.Config.Metadata[metadataCut]))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
}

func newID(epoch string, sequence uint64) string {
	return epoch + "-" + strconv.FormatUint(sequence, 10)
}

// parseID is the inverse of newID.
func parseID(id string) (epoch string, sequence uint64, err error) {
	epoch, digits, ok := eventid.Cut(id)
	if ok {
		sequence, ok = eventid.ParseNumber(digits)
	}
	if !ok {
		return "", 0, fmt.Errorf("natslog: %q is not an event ID of this log", id)
	}
	return epoch, sequence, nil
}
