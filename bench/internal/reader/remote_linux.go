package reader

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// ServeCrowd holds a crowd for another process, because each process has a limit on open
// files. Requests must come one at a time.
func ServeCrowd(ln net.Listener) error {
	var crowd *Crowd
	mux := http.NewServeMux()
	answer := func(path string, do func(url.Values) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var comments int
			err := do(r.URL.Query())
			if err == nil && crowd != nil {
				comments = crowd.Comments()
			}
			if err == nil {
				err = json.NewEncoder(w).Encode(comments)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	answer("/open", func(q url.Values) error {
		addr, err := netip.ParseAddrPort(q.Get("addr"))
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(q.Get("n"))
		if err != nil {
			return err
		}
		crowd, err = OpenCrowd(addr, n, q.Get("target"), CrowdOptions{})
		return err
	})
	answer("/read", func(q url.Values) error {
		d, err := time.ParseDuration(q.Get("for"))
		if err != nil {
			return err
		}
		if crowd == nil {
			return errors.New("reader: no crowd is open")
		}
		return crowd.ReadFor(d)
	})
	answer("/close", func(url.Values) error {
		crowd.Close()
		crowd = nil
		return nil
	})
	return (&http.Server{Handler: mux}).Serve(ln)
}

// A RemoteCrowd is a crowd that [ServeCrowd] holds in another process.
type RemoteCrowd struct {
	Addr netip.AddrPort
}

// Open calls [OpenCrowd].
func (c RemoteCrowd) Open(addr netip.AddrPort, n int, target string) error {
	_, err := c.ask("/open", url.Values{"addr": {addr.String()}, "n": {strconv.Itoa(n)}, "target": {target}})
	return err
}

// ReadFor calls [Crowd.ReadFor], and returns how many comments have arrived so far.
func (c RemoteCrowd) ReadFor(d time.Duration) (comments int, err error) {
	return c.ask("/read", url.Values{"for": {d.String()}})
}

// Close calls [Crowd.Close].
func (c RemoteCrowd) Close() error {
	_, err := c.ask("/close", nil)
	return err
}

func (c RemoteCrowd) ask(path string, q url.Values) (comments int, err error) {
	resp, err := http.Post("http://"+c.Addr.String()+path+"?"+q.Encode(), "", nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("reader: %s: %s", path, resp.Status)
	}
	return comments, json.NewDecoder(resp.Body).Decode(&comments)
}
