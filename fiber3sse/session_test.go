package fiber3sse_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/extractors"
	"github.com/gofiber/fiber/v3/middleware/encryptcookie"
	"github.com/gofiber/fiber/v3/middleware/session"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/fiber3sse"
	"github.com/yieldsse/yieldsse/internal/hosttest"
)

// An app whose users log in with a stream: it ends at once, or when hold is closed.
func sessionApp(hold <-chan struct{}, middlewares ...fiber.Handler) *fiber.App {
	app := newApp()
	for _, m := range middlewares {
		app.Use(m)
	}
	app.All("/stream", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		session.FromContext(c).Set("user", "ada")
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "first"}, nil) && hold != nil {
				<-hold
			}
		}, nil
	}))
	app.Get("/ended", fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		if err := session.FromContext(c).Destroy(); err != nil {
			return nil, err
		}
		return hosttest.Events("logged out"), nil
	}))
	app.Get("/logout", func(c fiber.Ctx) error { return session.FromContext(c).Destroy() })
	app.Get("/user", func(c fiber.Ctx) error {
		user, _ := session.FromContext(c).Get("user").(string)
		return c.SendString("user: " + user)
	})
	return app
}

func sessionCookie(t *testing.T, h http.Header) string {
	t.Helper()
	cookies := h.Values("Set-Cookie")
	if len(cookies) != 1 || !strings.HasPrefix(cookies[0], "session_id=") {
		t.Fatalf("got cookies %q, want the session's", cookies)
	}
	value, _, _ := strings.Cut(cookies[0], ";")
	return value
}

// The session middleware's cookie is sent with the stream, and is encrypted as in any
// other response: if encryptcookie runs outside of session.
func TestSession(t *testing.T) {
	encrypt := func() fiber.Handler {
		return encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey(32)})
	}
	tests := map[string][]fiber.Handler{
		"alone":                  {session.New()},
		"inside encryptcookie":   {encrypt(), session.New()},
		"outside encryptcookie":  {session.New(), encrypt()},
		"between two":            {encrypt(), session.New(), encrypt()},
		"one that skips, inside": {encrypt(), session.New(), session.New(session.Config{Next: func(fiber.Ctx) bool { return true }}), encrypt()},
	}
	for name, middlewares := range tests {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(name+"/"+method, func(t *testing.T) {
				url := "http://" + serve(t, sessionApp(nil, middlewares...))
				req, err := http.NewRequestWithContext(t.Context(), method, url+"/stream", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				got := hosttest.Do(t, req)
				if got.Status != http.StatusOK || got.Broken || method == http.MethodGet && !strings.Contains(got.Body, "data: first") {
					t.Fatalf("got %+v, want a stream", got)
				}
				cookie := sessionCookie(t, got.Header)
				if got, want := hosttest.Get(t, url+"/user", "Cookie", cookie).Body, "user: ada"; got != want {
					t.Errorf("got %q with the stream's cookie, want %q", got, want)
				}
			})
		}
	}
}

// A stream that lasts does not undo what other requests have done to its session.
func TestSessionIsNotSavedAgain(t *testing.T) {
	hold, returned := make(chan struct{}), make(chan struct{})
	url := "http://" + serve(t, sessionApp(hold, func(c fiber.Ctx) error {
		if c.Path() == "/stream" {
			defer close(returned)
		}
		return c.Next()
	}, session.New()))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cookie := sessionCookie(t, res.Header)
	if got, want := hosttest.Get(t, url+"/user", "Cookie", cookie).Body, "user: ada"; got != want {
		t.Errorf("got %q while the stream runs, want %q", got, want)
	}
	_ = hosttest.Get(t, url+"/logout", "Cookie", cookie)
	close(hold)
	hosttest.Receive(t, returned, "the return of the middlewares")
	if got, want := hosttest.Get(t, url+"/user", "Cookie", cookie).Body, "user: "; got != want {
		t.Errorf("got %q after logging out, want %q", got, want)
	}
}

// A session that the view has destroyed is not saved.
func TestSessionDestroyed(t *testing.T) {
	url := "http://" + serve(t, sessionApp(nil, session.New()))
	cookie := sessionCookie(t, hosttest.Get(t, url+"/stream").Header)
	got := hosttest.Get(t, url+"/ended", "Cookie", cookie)
	if !strings.Contains(got.Body, "data: logged out") {
		t.Fatalf("got %+v, want a stream", got)
	}
	if got := sessionCookie(t, got.Header); got == cookie {
		t.Errorf("got the cookie %q again, want it to be deleted", got)
	}
}

// A session that cannot be saved is an error, and its cookie is not sent.
func TestSessionCannotBeSaved(t *testing.T) {
	encrypt := encryptcookie.New(encryptcookie.Config{Key: encryptcookie.GenerateKey(32)})
	app := newApp()
	app.Get("/", encrypt, session.New(), fiber3sse.Handler(func(c fiber.Ctx) (core.Stream, error) {
		session.FromContext(c).Set("user", make(chan int)) // which gob does not encode
		return view(c)
	}))
	got := hosttest.Get(t, "http://"+serve(t, app))
	if cookies := got.Header.Values("Set-Cookie"); got.Status != 500 || !strings.HasPrefix(got.Body, "fiber3sse: save the session: ") || len(cookies) > 0 {
		t.Errorf("got %d %q and cookies %q, want 500, the error, and none", got.Status, got.Body, cookies)
	}
}

// Only the innermost session can be found, so the others could not be saved in time.
func TestTwoSessions(t *testing.T) {
	other := session.New(session.Config{Extractor: extractors.FromCookie("other")})
	got := hosttest.Get(t, "http://"+serve(t, sessionApp(nil, other, session.New()))+"/stream")
	if want := "two session middlewares"; got.Status != 500 || !strings.Contains(got.Body, want) {
		t.Errorf("got %d %q, want 500 and %q", got.Status, got.Body, want)
	}
}
