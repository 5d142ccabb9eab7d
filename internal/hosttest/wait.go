package hosttest

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long Run, Receive and Eventually wait.
const Patience = time.Minute

// Receive returns the next value from ch. It fails the test if there is none within
// Patience.
func Receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	return ReceiveWithin(t, Patience, ch, what)
}

// ReceiveWithin is like Receive, with d for Patience.
func ReceiveWithin[T any](t testing.TB, d time.Duration, ch <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		t.Fatalf("%s did not come within %v", what, d)
		panic("unreachable")
	}
}

// Eventually waits until ok returns true. It fails the test if that takes longer than
// Patience.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	EventuallyWithin(t, Patience, what, ok)
}

// EventuallyWithin is like Eventually, with d for Patience.
func EventuallyWithin(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(d)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		last := !time.Now().Before(deadline) // before it looks, because the machine may stall
		if ok() {
			return
		}
		if last {
			t.Fatalf("%s: not within %v", what, d)
		}
		<-time.After(pause)
	}
}

// A Logbook is an io.Writer that keeps what is written to it.
type Logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Forged checks that the log tells of a stream of [Forging], and has no line that begins with
// what the client has put into its error.
func (l *Logbook) Forged(t testing.TB) {
	t.Helper()
	want := strings.Trim(strconv.Quote(forged), `"`)
	Eventually(t, "the log says "+want, func() bool { return strings.Contains(l.String(), want) })
	if got := l.String(); strings.Contains(got, forged) {
		t.Errorf("got the log %q, want no line that a client has made up", got)
	}
}

// Writers writes to each of its writers. Any goroutine may use it.
type Writers struct {
	mu  sync.Mutex
	all []io.Writer
}

// Add adds a writer, which gets what is written from now on.
func (w *Writers) Add(writer io.Writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, writer)
}

func (w *Writers) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return io.MultiWriter(w.all...).Write(p)
}
