package check

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/yieldsse/yieldsse/cmd/yieldsse/internal/words"
	"github.com/yieldsse/yieldsse/internal/mediatype"
)

func reachable(f *Facts) []Finding {
	if f.First.Err != nil {
		return one(Fault,
			fmt.Sprintf("connected, but no answer came within %s", words.Duration(f.First.Watched)),
			"a client waits, and proxies give up after 30 to 60 s",
			"send the headers at once, before the first event exists; check whether the handler runs at all")
	}
	return ok("answers with %d %s", f.First.Status, http.StatusText(f.First.Status))
}

func status(f *Facts) []Finding {
	e := &f.First
	if e.Err != nil || e.Redirects != nil {
		return nil
	}
	seen := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)))
	const final = "with any status but 200 an EventSource fails and does not reconnect"
	switch e.Status {
	case http.StatusOK:
		return ok("%s", seen)
	case http.StatusNoContent:
		return one(Warning, seen,
			"204 tells an EventSource to stop for good, so there is nothing to check",
			"this is right if the stream is over; otherwise run the check while there is something to send")
	case http.StatusUnauthorized, http.StatusForbidden:
		return one(Fault, seen, final, "send credentials: -H 'Authorization: ...' or -H 'Cookie: ...'")
	case http.StatusMethodNotAllowed:
		return one(Fault, seen, final, "use the method that the server wants, such as -X POST; an EventSource can only GET")
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout, 520, 521, 522, 523, 524, 525, 529, 530:
		return one(Fault, seen, final, "try again later; a page has to create a new EventSource in its error handler")
	}
	return one(Fault, seen, final, "answer with 200, or with 204 if there will be no more events")
}

func redirect(f *Facts) []Finding {
	if e := &f.First; e.Redirects != nil {
		return one(Fault,
			fmt.Sprintf("%v, at %d %s, Location: %s", e.Redirects, e.Status, http.StatusText(e.Status), e.Header.Get("Location")),
			"a browser follows about 20 redirects: then an EventSource fails and does not reconnect",
			"find the loop, for example between http and https, or to a login page and back")
	}
	was, err := url.Parse(f.URL)
	is, err2 := url.Parse(f.First.URL)
	if f.First.Err != nil || err != nil || err2 != nil || was.Redacted() == is.Redacted() {
		return nil
	}
	return one(Info, "led to "+is.Redacted(),
		"each connection costs an extra round trip, and a page of another origin needs CORS headers on both answers",
		"connect to that URL directly")
}

func mediaType(f *Facts) []Finding {
	e := &f.First
	if e.Err != nil || e.Status == http.StatusNoContent {
		return nil
	}
	kind := strings.Join(e.Header.Values("Content-Type"), ", ")
	_, n := mediatype.Of(e.Header.Values("Content-Type"))
	switch {
	case isEventStream(e.Header) && n > 1:
		return one(Warning, kind, "a browser takes the last of several types, other clients the first",
			"set Content-Type once: check whether a middleware or a proxy adds another")
	case isEventStream(e.Header):
		return ok("%s", kind)
	case e.Status != http.StatusOK:
		return nil // an error may have any type
	case kind == "":
		kind = "no Content-Type"
	}
	fix := "set Content-Type: text/event-stream before the first write"
	if strings.HasPrefix(kind, "text/html") {
		fix = "this is a page: check whether the URL is right, and whether it redirects to a login page"
	}
	return one(Fault, kind, "an EventSource accepts only text/event-stream: with any other type it fails and does not reconnect", fix)
}

func charset(f *Facts) []Finding {
	_, params, _ := mime.ParseMediaType(f.First.Header.Get("Content-Type"))
	switch set := params["charset"]; {
	case set == "":
		return ok("none, which is utf-8")
	case strings.EqualFold(set, "utf-8"):
		return ok("%s", set)
	default:
		return one(Warning, "charset="+set,
			"an event stream is UTF-8, and clients ignore the charset: text in any other encoding is shown as garbage",
			"send UTF-8, and remove the charset")
	}
}

var sharedAge = regexp.MustCompile(`(?:^|[\s,])(?:s-maxage|max-age)\s*=\s*"?0*[1-9]`)

func caching(f *Facts) []Finding {
	value := strings.ToLower(strings.Join(f.First.Header.Values("Cache-Control"), ", "))
	const fix = "set Cache-Control: no-cache, or no-store"
	switch {
	case value == "":
		return one(Warning, "no Cache-Control", "a cache may store the stream and replay it to others", fix)
	case strings.Contains(value, "no-store"), strings.Contains(value, "no-cache"):
		return ok("Cache-Control: %s", value)
	case strings.Contains(value, "public"), sharedAge.MatchString(value):
		return one(Warning, "Cache-Control: "+value, "a cache may store the stream and replay it", fix)
	case strings.Contains(value, "private"), strings.Contains(value, "max-age"):
		return ok("Cache-Control: %s", value)
	}
	return one(Warning, "Cache-Control: "+value, "this does not stop a cache from storing the stream", fix)
}

func bufferingHeader(f *Facts) []Finding {
	switch value := f.First.Header.Get("X-Accel-Buffering"); strings.ToLower(value) {
	case "no":
		return ok("X-Accel-Buffering: no")
	case "":
		return one(Info, "no X-Accel-Buffering (a proxy that obeys it may have removed it)",
			"nginx and other proxies hold events back unless the answer or their configuration says otherwise",
			"set X-Accel-Buffering: no")
	default:
		return one(Warning, "X-Accel-Buffering: "+value, "nginx collects events before it sends them", "set X-Accel-Buffering: no")
	}
}

func length(f *Facts) []Finding {
	e := &f.First
	switch {
	case e.ContentLength >= 0 || e.Header.Get("Content-Length") != "":
		seen := e.Header.Get("Content-Length")
		if seen == "" {
			seen = strconv.FormatInt(e.ContentLength, 10)
		}
		return one(Fault, "Content-Length: "+seen,
			"the whole answer was buffered before it was sent, or it is cut at that many bytes",
			"set no Content-Length, and flush after each event; look for a middleware that buffers the body")
	case len(e.TransferEncoding) > 0:
		return ok("Transfer-Encoding: %s", strings.Join(e.TransferEncoding, ", "))
	case e.ProtoMajor >= 2:
		return ok("none; %s has its own frames", e.Proto)
	}
	return one(Info, "neither Content-Length nor chunks: the end of the connection is the end of the stream",
		"a client cannot tell a stream that broke off from one that is over",
		"use HTTP/1.1 and send chunks, as most servers do by default")
}

func httpVersion(f *Facts) []Finding {
	e := &f.First
	if e.ProtoMajor >= 2 {
		return ok("%s", e.Proto)
	}
	fix := "serve it with HTTP/2, or share one connection among tabs"
	if !e.TLS {
		fix = "serve it over TLS, where browsers speak HTTP/2, or share one connection among tabs"
	}
	return one(Info, e.Proto, "a browser opens at most six connections to a host: six tabs with a stream use them up", fix)
}

func connectionHeader(f *Facts) []Finding {
	e := &f.First
	if e.ProtoMajor < 2 {
		return nil
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Transfer-Encoding"} {
		if value := e.Header.Get(name); value != "" {
			return one(Warning, fmt.Sprintf("%s: %s on %s", name, value, e.Proto),
				"HTTP/2 forbids it, and Safari and some proxies refuse such an answer",
				"do not set it: HTTP/1.1 needs none either")
		}
	}
	return ok("none on %s", e.Proto)
}

func compression(f *Facts) []Finding {
	if e := &f.First; e.Err != nil || e.Status != http.StatusOK || !isEventStream(e.Header) {
		return nil
	} else if compressed(e.Header) {
		return one(Fault, fmt.Sprintf("Content-Encoding: %s, though only identity was accepted", e.Header.Get("Content-Encoding")),
			"a client that does not expect it reads garbage",
			"compress only if the client accepts it, or better do not compress a stream")
	}
	z := f.Gzip
	if z == nil {
		return nil
	}
	if z.Err != nil || z.Status != http.StatusOK {
		return noGzip(f, z)
	}
	coding := z.Header.Get("Content-Encoding")
	event, bytes := f.First.FirstEvent, f.First.FirstByte
	const (
		holds = "the compressor holds events back until it has enough; every browser accepts gzip"
		fix   = "do not compress streams, or flush the compressor after each event"
	)
	switch {
	case !compressed(z.Header):
		return ok("none, though gzip is accepted")
	case coding != "gzip":
		return one(Fault, fmt.Sprintf("Content-Encoding: %s, though only gzip was accepted", coding),
			"a client that does not expect it reads garbage", fix)
	case z.End == Broken:
		return one(Fault, fmt.Sprintf("Content-Encoding: gzip, and the body cannot be read: %v", z.EndErr),
			"every browser accepts gzip, so none of them can read the stream", fix)
	case z.Events > 0:
		return ok("gzip, and the first event comes after %s", words.Duration(z.FirstEvent))
	case f.First.Events > 0 && z.Watched > event+shortStep/2:
		return one(Fault, fmt.Sprintf("gzip, and no event within %s; without it the first comes after %s",
			words.Duration(z.Watched), words.Duration(event)), holds, fix)
	case z.Bytes == 0 && f.First.Bytes > 0 && z.Watched > bytes+shortStep/2:
		return one(Fault, fmt.Sprintf("gzip, and no byte within %s; without it the first comes after %s",
			words.Duration(z.Watched), words.Duration(bytes)), holds, fix)
	}
	return one(Info, "gzip; too few events arrived to see whether it holds them back",
		"a compressor that is not flushed holds events back", fix)
}

// noGzip judges a connection on which gzip was accepted, and no stream came. If no other connection
// than the first has got a stream, the reason may be that the server allows only one.
func noGzip(f *Facts, z *Exchange) []Finding {
	severity := Warning
	others := []*Exchange{f.Again}
	for i := range f.Resumed {
		others = append(others, &f.Resumed[i].Exchange)
	}
	for _, e := range others {
		if e != nil && e.isStream() {
			severity = Fault
		}
	}
	const (
		effect = "every browser accepts gzip, so none of them can read the stream"
		fix    = "do not compress streams, or flush the compressor after the headers and each event"
	)
	switch {
	case z.Err == nil:
		return one(severity, fmt.Sprintf("the answer is %d %s if gzip is accepted; without it, it was 200",
			z.Status, http.StatusText(z.Status)), effect, fix)
	case !errors.Is(z.Err, errTimeUp):
		return one(severity, fmt.Sprintf("no answer if gzip is accepted: %v", z.Err), effect, fix)
	case z.Watched > f.First.Headers+shortStep/2:
		return one(severity, fmt.Sprintf("no headers within %s if gzip is accepted; without it they came after %s",
			words.Duration(z.Watched), words.Duration(f.First.Headers)), effect, fix)
	}
	return nil // the time of the check was over
}
