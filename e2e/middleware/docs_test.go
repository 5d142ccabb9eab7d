package middleware_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/middlewares.md")

const docsFile = "../../docs/middlewares.md"

const docsHead = `# Middlewares

This page is generated from the tests in [e2e/middleware](../e2e/middleware). They run each of these set-ups with real servers and clients: on HTTP/1.1 and,
except on fiber, on HTTP/2; in the handler, with ` + "`core.WithDetach`" + `, and compressed with ` + "`core.WithCompression`" + `; in answer to GET and to POST. To generate the page again, run ` + "`go test -run TestDocs -update`" + ` there.

- **flows**: the headers arrive at once, and each event arrives before the next one is made, even after the server's ` + "`WriteTimeout`" + `. The body is what was
  sent, and ends cleanly. A failure breaks it off. The server notices when the client leaves, and a shutdown ends the stream. With
  ` + "`core.WithDetach`" + ` the handler returns.
- **flows, compressed**: the same, compressed. Such a stream is not detached. With ` + "`core.WithCompression`" + ` all streams that flow are compressed, and none twice: if
  the middleware has set its header before the view returns, it compresses, and otherwise the view does. Only echo v5's Gzip before WrapMiddleware compresses
  whatever is announced, so the stream is broken, and the error names it.
- **refused**: the client gets 500, with an error that names the writer. Move the route out of the middleware.
- **broken**: the middleware holds the stream back after its headers have been sent. The first flush that sends nothing, of an event or a heartbeat,
  breaks the response, and the server's log or the framework's errors name the writer.
- **kept**: the first stream flows. Later requests get what it has sent so far, at once and as if it were whole, until the cache forgets it. No view runs
  for them.

Under a middleware that is not listed, a stream does one of these too. It flows under most middlewares that count, log or trace, and under compressors that obey
` + "`Flush`" + `. It is refused or broken under a middleware that buffers the response.

These are not tested: for fiber v3, ` + "`jwt` and `otel` of `gofiber/contrib/v3`" + `, and all others that do not come with fiber, except through ` + "`adaptor`" + `; for
echo v5, ` + "`echo-jwt`" + ` and New Relic's ` + "`nrecho`" + `.

**Do not put a response cache in front of a stream.** A writer that keeps a copy for later looks like one that keeps it for a log, so it cannot be refused. These
caches ignore ` + "`Cache-Control`" + ` as well. Register the route outside of them.
On fiber a cache of your own finds a plain text in place of the stream, with ` + "`Cache-Control: no-store`" + `, because the stream does not go through ` + "`c.Response()`" + `.
`

func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, table := range []struct {
		title string
		rows  []row
	}{
		{"net/http", netHTTP}, {"gin", ginRows}, {"echo v4", echoRows}, {"echo v5", echo5Rows}, {"fiber v2", fiberRows}, {"fiber v3", fiber3Rows},
		{"Listeners", listeners},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| with | what happens | |\n| --- | --- | --- |\n", table.title)
		for _, r := range table.rows {
			if strings.HasSuffix(r.name, ": nothing") {
				continue
			}
			what := map[outcome]string{flows: "flows", zips: "flows, compressed", refused: "refused", breaks: "broken", keeps: "kept"}[r.want]
			fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, what, r.note)
		}
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s does not match the tables: run go test -run TestDocs -update", docsFile)
	}
}
