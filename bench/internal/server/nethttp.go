package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

func serveNetHTTP(ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /each", func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		f := flusher(w)
		n := number(r.URL.RawQuery)
		for id := firstID; id < firstID+n; id++ {
			if _, err := fmt.Fprintf(w, format, id, eventType, data); err != nil {
				return
			}
			f.Flush()
		}
	})
	mux.HandleFunc("GET "+Idle, func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		f := flusher(w)
		_, _ = fmt.Fprintf(w, format, firstID, eventType, data)
		f.Flush()
		ticker := time.NewTicker(heartbeat())
		defer ticker.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-ticker.C:
				if _, err := io.WriteString(w, ": heartbeat\n\n"); err != nil {
					return
				}
				f.Flush()
			}
		}
	})
	mux.Handle("GET /encode", job(func(n int) (int, error) {
		for i := range n {
			if _, err := fmt.Fprintf(io.Discard, format, firstID+i, eventType, data); err != nil {
				return i, err
			}
		}
		return n, nil
	}))
	return serve(ln, mux)
}
