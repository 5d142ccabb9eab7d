package fasthost

import (
	"context"
	"sync"

	"github.com/yieldsse/yieldsse/core"
)

// servers has the servers that have streams, by the channel that fasthttp closes when a
// server shuts down.
var (
	serversMu sync.Mutex
	servers   = map[<-chan struct{}]*server{}
)

// A server ends its streams when it shuts down. One goroutine waits for that as long as
// there are streams. After a detached one it keeps waiting until another stream ends or
// the server shuts down.
type server struct {
	group  core.Group
	users  int // running handlers
	unused chan struct{}
}

// groupOf returns the group of the server that done belongs to. The caller calls
// release when it no longer needs the group.
func groupOf(done <-chan struct{}) (group *core.Group, release func()) {
	serversMu.Lock()
	defer serversMu.Unlock()
	srv := servers[done]
	if srv == nil {
		srv = &server{unused: make(chan struct{})}
		servers[done] = srv
		go srv.wait(done)
	}
	srv.users++
	return &srv.group, func() {
		serversMu.Lock()
		defer serversMu.Unlock()
		if srv.users--; srv.users == 0 && srv.group.Len() == 0 && servers[done] == srv {
			delete(servers, done)
			close(srv.unused)
		}
	}
}

func (srv *server) wait(done <-chan struct{}) {
	select {
	case <-done:
		_ = srv.group.Shutdown(context.Background()) // app.Shutdown waits for the handlers to return
		serversMu.Lock()
		defer serversMu.Unlock()
		if servers[done] == srv {
			delete(servers, done)
		}
	case <-srv.unused:
	}
}
