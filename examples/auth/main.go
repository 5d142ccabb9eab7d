// Who may read a stream, on gin: a cookie, or a ticket for pages that cannot send one.
//
//	go run ./examples/auth
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/ginsse"
)

//go:embed index.html style.css
var files embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "the address to listen on")
	origin := flag.String("origin", "", "another origin whose pages may read; if it is another site, only with a ticket")
	flag.Parse()
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Open http://%s/ or http://%[1]s/#ticket\n", ln.Addr()) //nolint:forbidigo // for the user
	log.Fatal(newServer(time.Hour, 10*time.Second, *origin).router().RunListener(ln))
}

// A login says who may read, and until when.
type login struct {
	user   string
	until  time.Time
	cookie string // its secret
}

type loginKey struct{}

func loginOf(ctx context.Context) login {
	l, _ := ctx.Value(loginKey{}).(login)
	return l
}

type server struct {
	loginLife, ticketLife time.Duration
	origin                string // whose pages may read, besides our own; "" for none
	streams               core.Group

	mu      sync.Mutex
	logins  map[string]login  // by cookie
	tickets map[string]string // the cookies of those who have got one
}

func newServer(loginLife, ticketLife time.Duration, origin string) *server {
	return &server{
		loginLife: loginLife, ticketLife: ticketLife, origin: origin,
		streams: core.Group{KeyLimit: 10, Key: func(ctx context.Context) string { return loginOf(ctx).user }},
		logins:  map[string]login{}, tickets: map[string]string{},
	}
}

// issue makes a secret stand for v for a while.
func issue[T any](s *server, secrets map[string]T, secret string, v T, life time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secrets[secret] = v
	time.AfterFunc(life, func() { redeem(s, secrets, secret) })
}

// redeem returns what a secret stands for, and makes it worthless.
func redeem[T any](s *server, secrets map[string]T, secret string) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := secrets[secret]
	delete(secrets, secret)
	return v
}

func (s *server) find(cookie string) (login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.logins[cookie]
	return l, ok
}

// signOut ends a login, and then the user's streams, so that no client comes back with it.
func (s *server) signOut(l login) {
	redeem(s, s.logins, l.cookie)
	s.streams.End(l.user, errors.New("signed out"))
}

// checkOrigin keeps the pages of other sites out, which a cookie does not: a browser may add
// it to their requests too.
func (s *server) checkOrigin(c *gin.Context) {
	origin := c.GetHeader("Origin") // none in a GET of our own pages
	c.Header("Vary", "Origin")
	switch _, host, _ := strings.Cut(origin, "://"); {
	case origin == "" || host == c.Request.Host:
	case origin == s.origin:
		c.Header("Access-Control-Allow-Origin", origin) // not *, which does not go with credentials
		c.Header("Access-Control-Allow-Credentials", "true")
	default:
		c.AbortWithStatus(http.StatusForbidden)
	}
}

// checkLogin lets in who has a ticket or a cookie. An EventSource that gets a 401 stops.
func (s *server) checkLogin(c *gin.Context) {
	cookie, _ := c.Cookie("login")
	if ticket, asked := c.GetQuery("ticket"); asked {
		cookie = redeem(s, s.tickets, ticket) // so a ticket ends with its login
	}
	l, ok := s.find(cookie)
	if !ok {
		c.AbortWithStatus(http.StatusUnauthorized)
		return
	}
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), loginKey{}, l))
}

func (s *server) router() *gin.Engine {
	r := gin.New() // without a log, which would have the tickets
	r.Use(gin.Recovery(), s.checkOrigin)
	r.StaticFileFS("/", "/", http.FS(files)) // index.html
	r.StaticFileFS("/style.css", "style.css", http.FS(files))
	r.POST("/login", func(c *gin.Context) { // a real one asks for more than a name
		l := login{c.PostForm("user"), time.Now().Add(s.loginLife), rand.Text()}
		issue(s, s.logins, l.cookie, l, s.loginLife)
		c.SetSameSite(http.SameSiteStrictMode) // so the page of another site needs a ticket
		c.SetCookie("login", l.cookie, int(s.loginLife.Seconds()), "/", "", c.Request.TLS != nil, true)
	})
	r.POST("/logout", s.checkLogin, func(c *gin.Context) {
		s.signOut(loginOf(c.Request.Context()))
	})
	r.POST("/ticket", s.checkLogin, func(c *gin.Context) {
		ticket := rand.Text()
		issue(s, s.tickets, ticket, loginOf(c.Request.Context()).cookie, s.ticketLife)
		c.String(http.StatusOK, ticket)
	})
	r.GET("/stream", s.checkLogin, ginsse.Handler(func(c *gin.Context) core.Stream {
		ctx := c.Request.Context()
		if _, ok := s.find(loginOf(ctx).cookie); !ok { // it ended before the stream was in the group
			c.AbortWithStatus(http.StatusUnauthorized)
			return nil
		}
		return func(yield func(core.Event, error) bool) {
			if yield(core.Event{Data: "Hello, " + loginOf(ctx).user}, nil) {
				<-ctx.Done()
			}
		}
	}, core.WithGroup(&s.streams), core.WithRetry(time.Second),
		core.WithExpiry(func(ctx context.Context) time.Time { return loginOf(ctx).until })))
	return r
}
