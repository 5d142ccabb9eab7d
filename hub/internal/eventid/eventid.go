// Package eventid has the form of event IDs: an epoch, a hyphen, and a place in that
// epoch. Hubs and logs differ in what a place is.
package eventid

import (
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
)

// EpochLen is the length of an epoch in bytes, each of 5 random bits.
const EpochLen = 8

// ErrOtherEpoch is hub.ErrOtherEpoch.
var ErrOtherEpoch = errors.New("hub: the event ID is of another epoch")

// NewEpoch draws an epoch.
func NewEpoch() string { return strings.ToLower(rand.Text()[:EpochLen]) }

// Cut splits an ID into its epoch and its place.
func Cut(id string) (epoch, place string, ok bool) {
	epoch, place, ok = strings.Cut(id, "-")
	ok = ok && len(epoch) == EpochLen && strings.Trim(epoch, "abcdefghijklmnopqrstuvwxyz234567") == ""
	return epoch, place, ok
}

// ParseNumber parses a number as [strconv.FormatUint] writes it, so that there is only
// one ID for each event.
func ParseNumber(digits string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && (digits == "0" || digits[0] != '0')
}

// Compare is a log's Compare. The epoch is the one that the log was last seen in, or
// empty if that is not known.
func Compare[Place any](
	a, b, epoch string, parse func(id string) (epoch string, p Place, err error), compare func(p, q Place) int,
) (int, error) {
	epochA, p, err := parse(a)
	if err != nil {
		return 0, err
	}
	epochB, q, err := parse(b)
	if err != nil {
		return 0, err
	}
	if epochA != epochB || epoch != "" && epochA != epoch {
		return 0, ErrOtherEpoch
	}
	return compare(p, q), nil
}
