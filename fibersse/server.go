package fibersse

import (
	"context"
	"sync"

	"github.com/yieldsse/yieldsse/core"
)

// servers has the servers that have streams now, by the channel that fasthttp
// closes when a server shuts down.
var (
	serversMu sync.Mutex
	servers   = map[<-chan struct{}]*server{}
)

// A server ends its streams when it shuts down. One goroutine waits for that, as
// long as there are streams.
type server struct {
	group  core.Group
	users  int
	unused chan struct{}
}

// groupOf returns the group of the server that done belongs to. The caller calls
// release when it does not need it any more.
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
		if srv.users--; srv.users == 0 {
			delete(servers, done)
			close(srv.unused)
		}
	}
}

func (srv *server) wait(done <-chan struct{}) {
	select {
	case <-done:
		_ = srv.group.Shutdown(context.Background()) // app.Shutdown waits for the streams to end
	case <-srv.unused:
	}
}
