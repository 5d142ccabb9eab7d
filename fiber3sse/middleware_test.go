package fiber3sse

import (
	"errors"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v3/middleware/session"

	"github.com/yieldsse/yieldsse/core"
)

// A session middleware that does not tell whether its session has been destroyed, as a
// later version may not, is refused: a destroyed session must not come back.
func TestDestroyed(t *testing.T) {
	if got, err := destroyed(new(session.Middleware)); got || err != nil {
		t.Errorf("this version's: got %t, %v, want false", got, err)
	}
	type flag int
	for name, later := range map[string]any{
		"no field":     &struct{ Session *session.Session }{},
		"another type": &struct{ isDestroyed flag }{},
	} {
		_, err := destroyed(later)
		if refused := new(core.RefusedError); !errors.As(err, &refused) || refused.Status != 500 || !strings.Contains(err.Error(), "session") {
			t.Errorf("%s: got the error %v, want a refusal", name, err)
		}
	}
}
