package core_test

import (
	"errors"
	"testing"

	"github.com/yieldsse/yieldsse/core"
)

// What a client has put into an error does not begin a line of a log.
func TestErrorsAreOneLine(t *testing.T) {
	forged := errors.New("no item a\n2026/01/01 root logged in")
	const want = `"no item a\n2026/01/01 root logged in"`
	for _, err := range []error{
		&core.StreamError{Err: forged}, &core.RefusedError{Err: forged}, &core.RefusedError{Message: forged.Error()},
	} {
		if got := err.Error(); got != want {
			t.Errorf("%T: got %s, want %s", err, got, want)
		}
	}
}

// The client is told the Message, or the error's text without one.
func TestAnswer(t *testing.T) {
	why := errors.New("the table is locked")
	for _, test := range []struct {
		err        core.RefusedError
		log, tells string
	}{
		{core.RefusedError{Err: why, Message: "sold out"}, "the table is locked", "sold out"},
		{core.RefusedError{Err: why}, "the table is locked", "the table is locked"},
		{core.RefusedError{Message: "sold out"}, "sold out", "sold out"},
		{core.RefusedError{}, "core: the request is refused", "core: the request is refused"},
	} {
		if got := test.err.Error(); got != test.log {
			t.Errorf("%+v: the log gets %q, want %q", test.err, got, test.log)
		}
		if got := test.err.Answer(); got != test.tells {
			t.Errorf("%+v: the client is told %q, want %q", test.err, got, test.tells)
		}
	}
}
