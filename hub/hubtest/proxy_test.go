package hubtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/hub/hubtest"
	"github.com/yieldsse/yieldsse/internal/testenv"
	"github.com/yieldsse/yieldsse/ssetest"
)

func TestMain(m *testing.M) {
	testenv.ShareCPUs()
	ssetest.Main(m)
}

// echo starts a server that sends back what it gets, and reports what that was.
func echo(t *testing.T) (addr string, got <-chan string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	all := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for word := make([]byte, 4); ; {
					if _, err := io.ReadFull(conn, word); err != nil {
						return
					}
					all <- string(word)
					if _, err := conn.Write(word); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), all
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, word string) {
	t.Helper()
	if _, err := io.WriteString(conn, word); err != nil {
		t.Fatal(err)
	}
}

// receive reads a word, or returns os.ErrDeadlineExceeded if there is none.
func receive(conn net.Conn, patience time.Duration) (string, error) {
	word := make([]byte, 4)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.ReadFull(conn, word)
	return string(word), err
}

func TestProxy(t *testing.T) {
	const soon, never = time.Minute, 100 * time.Millisecond
	for _, test := range []struct {
		name                   string
		toServer, toClient     bool
		reaches, reachesClient bool
	}{
		{name: "nothing", reaches: true, reachesClient: true},
		{name: "both ways", toServer: true, toClient: true},
		{name: "to the server", toServer: true},
		{name: "to the client", toClient: true, reaches: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, got := echo(t)
			p := hubtest.NewProxy(t, addr)
			conn := dial(t, p.Addr)
			send(t, conn, "word")
			if word, err := receive(conn, soon); word != "word" || err != nil {
				t.Fatalf("got %q, %v, want word", word, err)
			}
			<-got
			p.Stall(test.toServer, test.toClient)
			send(t, conn, "more")
			_, err := receive(conn, map[bool]time.Duration{true: soon, false: never}[test.reachesClient])
			if (err == nil) != test.reachesClient || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want an answer: %v", err, test.reachesClient)
			}
			reached := false
			select {
			case <-got:
				reached = true
			case <-time.After(map[bool]time.Duration{true: soon, false: never}[test.reaches]):
			}
			if reached != test.reaches {
				t.Errorf("reached the server: got %v, want %v", reached, test.reaches)
			}
			late := dial(t, p.Addr)
			send(t, late, "late")
			p.Resume()
			if word, err := receive(late, soon); word != "late" || err != nil {
				t.Errorf("a connection made during the stall: got %q, %v, want late", word, err)
			}
			if !test.reachesClient {
				if word, err := receive(conn, soon); word != "more" || err != nil {
					t.Errorf("after the stall: got %q, %v, want more", word, err)
				}
			}
			p.Cut()
			if _, err := receive(conn, soon); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after the cut: got %v, want the end", err)
			}
			again := dial(t, p.Addr)
			send(t, again, "last")
			if word, err := receive(again, soon); word != "last" || err != nil {
				t.Errorf("after the cut: got %q, %v, want last", word, err)
			}
		})
	}
}

// New connections go to another server, and existing ones do not.
func TestProxyRedirects(t *testing.T) {
	t.Parallel()
	first, toFirst := echo(t)
	second, toSecond := echo(t)
	p := hubtest.NewProxy(t, first)
	old := dial(t, p.Addr)
	send(t, old, "old1")
	if got := <-toFirst; got != "old1" {
		t.Errorf("the first server got %q", got)
	}
	p.Redirect(second)
	send(t, dial(t, p.Addr), "new1")
	if got := <-toSecond; got != "new1" {
		t.Errorf("the second server got %q", got)
	}
	send(t, old, "old2")
	if got := <-toFirst; got != "old2" {
		t.Errorf("the first server got %q", got)
	}
}
