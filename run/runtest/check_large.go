package runtest

import (
	"errors"
	"strings"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/run"
)

// Large events come as they are, whatever they contain. Of a large error, the beginning comes.
func checkLarge(f *fixture) {
	a, b := f.pair()
	x := f.watched(a, b)
	x.say(strings.Repeat("<b>&\"\\\x01\u2028", 50<<10), "three")
	failure := errors.New(strings.Repeat("<\x01\xff\u2028ä", 300<<10))
	x.failWith(failure)
	want, err := x.here()
	f.isError("here", err, failure)
	got, err := x.there()
	if err == nil || !strings.HasPrefix(err.Error(), "<\x01\uFFFD\u2028ä<") {
		text := "no error"
		if err != nil {
			text = err.Error()[:min(len(err.Error()), 100)]
		}
		f.Errorf("there: got the error %q", text)
	}
	if len(got) != 4 || len(want) != 4 || got[2] != want[2] {
		f.Errorf("got %d and %d events, which differ or are not 4", len(got), len(want))
	}
}

// A run with an event that the store does not accept fails at once, with what is before it.
func checkTooLarge(f *fixture) {
	if f.TooLarge == 0 {
		f.Skip("the store accepts all")
	}
	a, b := f.pair()
	x := f.watched(a, b)
	large := strings.Repeat("x", f.TooLarge)
	f.isError("stop", b.Stop(soon(f), "x", core.Event{Data: large}), run.ErrTooLarge)
	x.say("three", large)
	_, err := x.here()
	f.isError("here", err, run.ErrTooLarge)
	f.isError("the generator's cause", x.cause(), run.ErrTooLarge)
	got, err := x.there()
	if err == nil || errors.Is(err, run.ErrLost) || !strings.Contains(err.Error(), run.ErrTooLarge.Error()) {
		f.Errorf("there: got the error %v", err)
	}
	f.equal("events", words(got), []string{"one", "two", "three"})
}
