package hub_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// A logger has one line for the log's trouble, however long it lasts, and one for its end.
func TestLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := new(hosttest.Logbook)
		undated := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		l := slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{ReplaceAttr: undated}))
		log := new(hubtest.MemoryLog)
		h := hub.New(hub.WithLog(log), hub.WithLogger(l))
		want := ""
		check := func(more string) {
			t.Helper()
			<-time.After(time.Minute)
			want += more
			if got := lines.String(); got != want {
				t.Fatalf("got\n%s, want\n%s", got, want)
			}
		}
		publish := func() {
			t.Helper()
			if _, err := h.Publish(t.Context(), "a", core.Event{Data: "secret"}); err != nil {
				t.Fatal(err)
			}
		}
		publish()
		check("")
		log.Fail(errors.New("out of order"))
		<-time.After(time.Minute)
		if got := lines.String(); !strings.HasPrefix(got, `level=WARN msg="hub: the log is in trouble" error="`) || strings.Count(got, "\n") != 1 {
			t.Fatalf("got %q, want one line", got)
		}
		want = lines.String()
		log.Fail(nil)
		<-time.After(time.Minute)
		if got := strings.TrimPrefix(lines.String(), want); !strings.HasPrefix(got, `level=INFO msg="hub: the log is well again" after=1m`) {
			t.Fatalf("got %q, want one more line", got)
		}
		want = lines.String()
		log.Restart()
		check("level=WARN msg=\"hub: events are missing from the log\" gaps=1\n")
		if err := h.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		check("")
	})
}
