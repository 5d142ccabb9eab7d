package nethttpsse_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/deflate"
	"github.com/yieldsse/yieldsse/internal/feed"
	"github.com/yieldsse/yieldsse/nethttpsse"
	"github.com/yieldsse/yieldsse/ssetest/adaptertest"
)

var mount = adaptertest.Mount{
	Serve:     serveSite,
	Protocols: []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP1TLS, adaptertest.HTTP2, adaptertest.H2C},
}

func TestConformance(t *testing.T) {
	var handovers atomic.Int64
	t.Cleanup(func() {
		if runtime.GOOS == "linux" && handovers.Load() == 0 {
			t.Error("no stream was handed over")
		}
	})
	// A stream that was handed over has no goroutine that writes its events.
	over := adaptertest.Mount{
		Name: "handed over",
		Serve: func(t testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
			for path, view := range site.Views {
				if view == nil {
					continue
				}
				site.Views[path] = func(ctx context.Context, x adaptertest.Exchange) core.Stream {
					return handedOver(ctx, view(ctx, x), &handovers)
				}
			}
			return serveSite(t, site)
		},
		Protocols: []adaptertest.Protocol{adaptertest.HTTP1, adaptertest.HTTP1TLS},
	}
	adaptertest.Conformance(t, mount, mount.Detached(), over.Detached())
}

// A pump has the events that a generator has made in another goroutine.
type pump struct {
	ctx   context.Context //nolint:containedctx // it ends the generator
	feed  feed.Feed
	taken chan struct{} // signals that there is room again

	mu     sync.Mutex
	frames [][]byte
	err    error // io.EOF when the generator has returned
	busy   atomic.Bool
}

func handedOver(ctx context.Context, stream core.Stream, handovers *atomic.Int64) core.Stream {
	if stream == nil {
		return nil
	}
	var self core.Stream
	self = func(yield func(core.Event, error) bool) {
		feed, _ := feed.Of(yield)
		p := &pump{ctx: ctx, feed: feed, taken: make(chan struct{}, 1)}
		if !feed.Handover(self, p) {
			stream(yield) // for example on HTTP/1.0
			return
		}
		handovers.Add(1)
		go p.run(stream)
	}
	return self
}

func (p *pump) run(stream core.Stream) {
	defer func() {
		err := io.EOF
		if v := recover(); v != nil {
			err = &core.PanicError{Value: v}
		}
		p.fail(err)
	}()
	stream(func(e core.Event, err error) bool {
		if p.ctx.Err() != nil {
			return false
		}
		frame := []byte(nil)
		if err == nil {
			frame, err = e.AppendText(nil)
		}
		if err != nil {
			p.fail(err)
			return false
		}
		if p.feed.Compressed() {
			frame = deflate.NewBlock(frame)
		}
		for p.put(frame) > 64 {
			select {
			case <-p.taken:
				frame = nil
			case <-p.ctx.Done():
				return false
			}
		}
		return p.ctx.Err() == nil
	})
}

// put adds a frame, if there is one, and returns the number of frames.
func (p *pump) put(frame []byte) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if frame != nil {
		p.frames = append(p.frames, frame)
		p.feed.Wake()
	}
	return len(p.frames)
}

func (p *pump) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.feed.Wake()
}

func (p *pump) Next(frames *[][]byte) (more bool, err error) {
	if p.busy.Swap(true) {
		panic("two calls of a pump overlap")
	}
	defer p.busy.Store(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	*frames = append(*frames, p.frames...)
	more, p.frames = len(p.frames) > 0, nil
	select {
	case p.taken <- struct{}{}:
	default:
	}
	if more && p.err != nil {
		return true, nil // the failure comes in the next call
	}
	return false, p.err
}

func (*pump) Prepare() { panic("Prepare was called, but Next has not asked for it") }

func (p *pump) Close() {
	if p.busy.Swap(true) {
		panic("a pump is closed during a call, or twice")
	}
}

func serveSite(_ testing.TB, site *adaptertest.Site) (shutdown func(context.Context) error) {
	mux := http.NewServeMux()
	for path, view := range site.Views {
		mux.Handle(path, nethttpsse.Handler(siteView(view), site.Options...))
	}
	for name, answer := range siteAnswers {
		mux.HandleFunc("GET /plain/"+name, answer)
		mux.Handle("GET /"+name, nethttpsse.Handler(func(w http.ResponseWriter, r *http.Request) core.Stream {
			answer(w, r)
			return nil
		}, site.Options...))
	}
	srv := site.Server(siteRecovery(log.New(site.Log, "", 0), mux))
	go func() { _ = srv.Serve(site.Listener) }()
	return srv.Shutdown
}

func siteView(view adaptertest.View) nethttpsse.View {
	if view == nil {
		return nil
	}
	return func(w http.ResponseWriter, r *http.Request) core.Stream {
		return view(r.Context(), adaptertest.Exchange{Body: r.Body, SetHeader: w.Header().Set})
	}
}

var siteAnswers = map[string]http.HandlerFunc{
	"forbidden": func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no entry", http.StatusForbidden)
	},
	"json": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte(`{"answer":42}`))
	},
	"redirect": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/json", http.StatusSeeOther)
	},
	"no-content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	"nothing":    func(http.ResponseWriter, *http.Request) {},
}

// siteRecovery is the recovery middleware that net/http does not have: it answers a panic
// with 500 and keeps the connection, if it can.
func siteRecovery(log *log.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			if v != nil {
				log.Printf("panic of %s: %v", r.URL.Path, v)
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
