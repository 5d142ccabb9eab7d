package browsers_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/labstack/echo/v5"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/inspect"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/run"
)

// An inspected server has streams of prices, by users, and what operators see of them.
type inspected struct {
	url    string // of the prices: add a user and topics
	inside *inspect.Handler
	ended  chan core.Summary // of alice's
}

func startInspected(t *testing.T) *inspected {
	t.Helper()
	s := &inspected{ended: make(chan core.Summary, 10)}
	group := &core.Group{Key: func(ctx context.Context) string {
		return strings.Trim(core.RequestOf(ctx).Path[strings.LastIndex(core.RequestOf(ctx).Path, "/"):], "/")
	}}
	prices, answers := hub.New(hub.WithLog(new(hubtest.MemoryLog))), run.New()
	mux := http.NewServeMux()
	mux.Handle("GET /prices/{topics}/{user}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return prices.Subscribe(r.Context(), strings.Split(r.PathValue("topics"), ",")...)
	}, core.WithGroup(group), core.WithObserver(core.Observer{Closed: func(ctx context.Context, sum core.Summary) {
		if strings.HasSuffix(core.RequestOf(ctx).Path, "/alice") {
			s.ended <- sum
		}
	}})))
	s.inside = &inspect.Handler{
		Authorize: func(*http.Request) bool { return true },
		Groups:    map[string]*core.Group{"prices": group},
		Hubs:      map[string]*hub.Hub{"prices": prices},
		Runs:      map[string]*run.Runner{"answers": answers},
	}
	srv := httptest.NewServer(mux)
	s.url = srv.URL + "/prices/"
	ctx, cancel := context.WithCancel(context.Background())
	published := make(chan struct{})
	go func() {
		defer close(published)
		for range core.Every(ctx, 20*time.Millisecond) {
			for _, topic := range []string{"btc", "eth", "eth", "gold.spot"} {
				_, _ = prices.Publish(ctx, topic, core.Event{Data: "1,207.50"})
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-published
		_ = prices.Shutdown(context.Background())
		_ = answers.Shutdown(context.Background())
		srv.Close()
	})
	return s
}

// open opens a stream of prices, and returns a channel that gets its end.
func (s *inspected) open(t *testing.T, topics, user string) (end chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+topics+"/"+user, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	end = make(chan error, 1)
	go func() {
		defer res.Body.Close()
		for _, err := range core.Read(res.Body) {
			if err != nil {
				end <- err
				return
			}
		}
		end <- nil
	}()
	return end
}

const inspectRows = `document.querySelectorAll("#sessions tbody tr")`

// An operator opens the page, finds a user's session and ends it.
func TestInspect(t *testing.T) {
	t.Parallel()
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		s := startInspected(t)
		alice := s.open(t, "btc,eth", "alice")
		for i, user := range []string{"bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan"} {
			s.open(t, []string{"btc", "eth", "gold.*", "btc,gold.spot", ">"}[i%5], user)
		}
		e := echo.New()
		e.Any("/any/path", echo.WrapHandler(s.inside))
		p := openPage(t, b, hosttest.Serve(t, e)+"/any/path")
		p.Wait(`document.querySelector("#state").textContent === "live" && ` + inspectRows + `.length === 9`)
		p.WantIn(p.Text(`document.querySelector("#topics").innerText`), "gold.spot")
		p.WantIn(p.Text(`document.querySelector("#cards").innerText`), "log healthy")
		p.Wait(`Number(document.querySelector("#topics tbody td:nth-child(4)").innerText.match(/[\d.]+/)) > 1`) // events per second
		p.inspectPictures()

		p.Set("#filter input", "alice")
		p.Wait(`document.querySelector("#sessions .count").textContent === "1 of 9"`)
		p.endSession()
		if err := hosttest.Receive(t, alice, "the end of alice's stream"); err != nil {
			t.Errorf("alice's stream: got %v, want a clean end", err)
		}
		if sum := hosttest.Receive(t, s.ended, "the summary"); !errors.Is(sum.Cause, inspect.ErrEnded) {
			t.Errorf("alice's stream: got the cause %v, want %v", sum.Cause, inspect.ErrEnded)
		}
		p.Wait(`document.querySelector("#sessions .empty:not([hidden])").textContent === "Nothing matches the filter."`)

		p.Reload() // the address has the filter
		p.Wait(`document.querySelector("#sessions .count").textContent === "0 of 8"`)
		p.Set("#filter input", "")
		p.Wait(inspectRows + `.length === 8`)
		first := `document.querySelector("#sessions td").innerText`
		p.Click("#sessions th button") // the key
		p.Wait(first + `.includes("ivan")`)
		p.Click("#sessions th button")
		p.Wait(first + `.includes("bob")`)

		p.Do("poll()") // as after a laptop's sleep, in which nothing has come
		p.Wait(`document.querySelector("#state").textContent === "every 2 s"`)
		p.Do("{ const now = Date.now; Date.now = () => now() + 61000 }")
		p.Wait(`document.querySelector("#state").textContent === "live"`)
	})
}

// fiber's adaptor cannot pass the live view on, so the page asks for the JSON.
func TestInspectPolls(t *testing.T) {
	t.Parallel()
	browsertest.RunIn(t, "chromium", func(t *testing.T, b browser.Profile) {
		s := startInspected(t)
		alice := s.open(t, "btc", "alice")
		app := fiber.New()
		app.All("/inspect", adaptor.HTTPHandler(s.inside))
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		hosttest.Run(t, ln, func(ln net.Listener) error {
			return app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true})
		}, app.ShutdownWithContext)
		p := openPage(t, b, "http://"+ln.Addr().String()+"/inspect")
		p.Wait(`document.querySelector("#state").textContent === "every 2 s" && ` + inspectRows + `.length === 1`)
		p.endSession()
		if err := hosttest.Receive(t, alice, "the end of alice's stream"); err != nil {
			t.Errorf("alice's stream: got %v, want a clean end", err)
		}
		p.Wait(inspectRows + `.length === 0`)
	})
}

// endSession ends the first session that the page shows.
func (p *page) endSession() {
	p.Helper()
	p.Click("#sessions td button")
	p.Wait(`document.querySelector("#sessions td button").textContent === "Sure?"`)
	p.Click("#sessions td button")
}

// inspectPictures takes pictures of the page, in both themes and on a phone, where nothing may
// be wider than the page.
func (p *page) inspectPictures() {
	p.Helper()
	for _, width := range []int{1180, 375} {
		p.Resize(width, 900)
		p.Wait(fmt.Sprintf("innerWidth === %d", width))
		view := eval[browser.Rect](p, `(({ clientWidth: width, clientHeight: height }) => ({ width, height }))(document.documentElement)`)
		if got := eval[float64](p, "document.documentElement.scrollWidth"); got > view.Width {
			p.Errorf("the page is %v pixels wide in a window of %v", got, view.Width)
		}
		for _, theme := range []string{"light", "dark"} {
			p.Do(fmt.Sprintf("document.documentElement.style.colorScheme = %q", theme))
			p.Picture(fmt.Sprint(width), theme, view)
		}
	}
	p.Do("document.documentElement.style.colorScheme = ''")
	p.Resize(1180, 900)
}
