package check

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// crossOrigin reports whether the page's origin is not the stream's.
func crossOrigin(f *Facts) bool {
	page, err := url.Parse(f.Origin)
	stream, err2 := url.Parse(f.First.URL)
	return f.Origin != "" && (err != nil || err2 != nil ||
		page.Scheme != stream.Scheme || !strings.EqualFold(page.Host, stream.Host))
}

func cors(f *Facts) []Finding {
	e := &f.First
	switch {
	case f.Origin == "" || e.Err != nil:
		return nil
	case !crossOrigin(f):
		return ok("%s is the stream's own origin", f.Origin)
	}
	const why = "the browser hides the stream from the page, which gets only an error"
	fix := "set Access-Control-Allow-Origin: " + f.Origin
	allowed := e.Header.Values("Access-Control-Allow-Origin")
	credentials := e.Header.Get("Access-Control-Allow-Credentials") == "true"
	cookie := f.Sent.Get("Cookie") != ""
	seen := "Access-Control-Allow-Origin: " + strings.Join(allowed, ", ")
	switch {
	case len(allowed) == 0:
		return one(Fault, "no Access-Control-Allow-Origin for "+f.Origin, why, fix)
	case len(allowed) > 1:
		return one(Fault, seen+", more than once", why, "send it once: check whether both the server and a proxy set it")
	case allowed[0] != "*" && allowed[0] != f.Origin:
		return one(Fault, seen, why, fix)
	case cookie && (allowed[0] == "*" || !credentials):
		return one(Fault, seen+", and cookies are not allowed", why,
			fix+" and Access-Control-Allow-Credentials: true, and create the EventSource with {withCredentials: true}")
	case allowed[0] == "*" && credentials:
		return one(Warning, seen+" with Access-Control-Allow-Credentials: true",
			"browsers refuse the combination: a page that sends cookies gets nothing", fix)
	case allowed[0] != "*" && !strings.Contains(strings.ToLower(strings.Join(e.Header.Values("Vary"), ",")), "origin"):
		return one(Info, seen+" without Vary: Origin",
			"a cache may send the answer to a page of another origin", "set Vary: Origin")
	}
	return ok("%s", seen)
}

// forbidden are the headers that a page cannot set, and simple those that it may set
// without a preflight. forms are the media types that need no preflight.
var (
	forbidden = []string{"Accept-Encoding", "Cookie", "Host", "Origin", "Referer", "User-Agent"}
	simple    = []string{"Accept", "Accept-Language", "Content-Language"}
	forms     = []string{"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}
)

// needsPreflight returns the method and the headers for which a browser sends a
// preflight. An EventSource has none of them, except a Last-Event-ID with unusual bytes.
func needsPreflight(f *Facts) (method string, names []string) {
	if !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, f.Method) {
		method = f.Method
	}
	if !crossOrigin(f) {
		return "", nil
	}
	for name := range f.Sent {
		if slices.Contains(forbidden, name) || slices.Contains(simple, name) {
			continue
		}
		if name == "Content-Type" {
			if kind, _, _ := mime.ParseMediaType(f.Sent.Get(name)); slices.Contains(forms, kind) {
				continue
			}
		}
		names = append(names, strings.ToLower(name))
	}
	if f.First.IDs.Unsafe != "" {
		names = append(names, "last-event-id")
	}
	slices.Sort(names)
	return method, slices.Compact(names)
}

func joinNames(names []string) string { return strings.Join(names, ",") }

func preflight(f *Facts) []Finding {
	p := f.Preflight
	if p == nil {
		return nil
	}
	asked := "OPTIONS for " + strings.Join(append([]string{p.Method}, p.Headers...), ", ")
	why := "the browser sends a preflight before it connects, and the page gets an error instead of the stream"
	if unsafe := f.First.IDs.Unsafe; unsafe != "" {
		why += fmt.Sprintf("; because of the ID %.40q it also sends one when it resumes", unsafe)
	}
	fix := "answer OPTIONS with 204, Access-Control-Allow-Origin: " + f.Origin
	if len(p.Headers) > 0 {
		fix += " and Access-Control-Allow-Headers: " + strings.Join(p.Headers, ", ")
	}
	allowed := p.Header.Get("Access-Control-Allow-Origin")
	switch {
	case p.Err != nil:
		return one(Fault, asked+": no answer", why, fix)
	case p.Status < 200 || p.Status > 299:
		return one(Fault, fmt.Sprintf("%s: %d %s", asked, p.Status, http.StatusText(p.Status)), why, fix)
	case allowed != "*" && allowed != f.Origin:
		return one(Fault, fmt.Sprintf("%s: Access-Control-Allow-Origin is %q", asked, allowed), why, fix)
	}
	for _, name := range p.Headers {
		if !lists(p.Header, "Access-Control-Allow-Headers", name, name != "authorization") {
			return one(Fault, fmt.Sprintf("%s: Access-Control-Allow-Headers does not list %s", asked, name), why, fix)
		}
	}
	if needs, _ := needsPreflight(f); needs != "" && !lists(p.Header, "Access-Control-Allow-Methods", needs, true) {
		return one(Fault, fmt.Sprintf("%s: Access-Control-Allow-Methods does not list %s", asked, needs), why,
			fix+" and Access-Control-Allow-Methods: "+needs)
	}
	return ok("%s: allowed", asked)
}

// lists reports whether the header's list contains value, or "*" if that may stand for
// it.
func lists(h http.Header, name, value string, star bool) bool {
	for list := range strings.SplitSeq(strings.Join(h.Values(name), ","), ",") {
		if list = strings.TrimSpace(list); strings.EqualFold(list, value) || star && list == "*" {
			return true
		}
	}
	return false
}
