package browsers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/yieldsse/yieldsse/e2e/internal/browser"
	"github.com/yieldsse/yieldsse/e2e/internal/browsertest"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// startAuth runs examples/auth, which lets the pages of another origin in, and returns its
// URL.
func startAuth(t *testing.T, origin string) string {
	t.Helper()
	cmd := exec.Command(browsertest.Program(t), "-addr", "127.0.0.1:0", "-origin", origin)
	_, line, _ := strings.Cut(testenv.Start(t, cmd, "Open "), "Open ")
	url, _, _ := strings.Cut(line, "/ ")
	return url
}

// What people see of examples/auth: with a cookie or with tickets, they read until they sign
// out, also after a reload.
func TestAuth(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>") }))
	t.Cleanup(other.Close)
	stranger := httptest.NewServer(other.Config.Handler)
	t.Cleanup(stranger.Close)
	base := startAuth(t, other.URL)
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		signedIn := `document.querySelector("output").value === "Hello, alice"`
		asked := `!document.querySelector("#in").hidden`
		for _, hash := range []string{"", "#ticket"} {
			p := openPage(t, b, base+"/"+hash)
			p.Wait(asked)
			p.Set(`[name="user"]`, "alice")
			p.Click("#in button")
			p.Wait(signedIn)
			p.Reload()
			p.Wait(signedIn)

			// A page of another origin that is let in reads with the cookie; a stranger's does not.
			friend := openPage(t, b, other.URL)
			friend.listen("friend", base+"/stream", "{ withCredentials: true }")
			friend.sees("friend", []dispatch{{"fresh", connecting, "", ""}, {"open", opened, "", ""}, {"message", opened, "", "Hello, alice"}})
			friend.closeSource("friend")
			bad := openPage(t, b, stranger.URL)
			bad.listen("bad", base+"/stream", "{ withCredentials: true }")
			bad.sees("bad", []dispatch{{"fresh", connecting, "", ""}, {"error", closed, "", ""}})

			p.Click("#out button")
			p.Wait(asked)
		}
	})
}

// A page of another site does not send the cookie, but reads with a ticket. (Other ports of
// 127.0.0.1 are the same site, and localhost is another one.)
func TestAuthOfAnotherSite(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>") }))
	t.Cleanup(site.Close)
	origin := strings.Replace(site.URL, "127.0.0.1", "localhost", 1)
	base := startAuth(t, origin)
	browsertest.Run(t, func(t *testing.T, b browser.Profile) {
		p := openPage(t, b, base+"/")
		p.Wait(`!document.querySelector("#in").hidden`)
		p.Set(`[name="user"]`, "alice")
		p.Click("#in button")
		p.Wait(`document.querySelector("output").value === "Hello, alice"`)

		other := openPage(t, b, origin)
		other.listen("cookie", base+"/stream", "{ withCredentials: true }")
		other.sees("cookie", []dispatch{{"fresh", connecting, "", ""}, {"error", closed, "", ""}})
		ticket := p.Text(`fetch("ticket", { method: "POST" }).then((res) => res.text())`)
		other.listen("ticket", base+"/stream?ticket="+ticket, "{}")
		other.sees("ticket", []dispatch{{"fresh", connecting, "", ""}, {"open", opened, "", ""}, {"message", opened, "", "Hello, alice"}})
	})
}
