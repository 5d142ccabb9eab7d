package adaptertest

import (
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/yieldsse/yieldsse/core"
)

// A decoder decodes a body that is compressed, as it arrives.
type decoder struct {
	to   *io.PipeWriter // nil before the first byte
	done chan struct{}  // closed when it has come to the end
	err  error          // what is wrong with the body; nil if it is whole
}

// decode decodes the next piece of the body.
func (r *trial) decode(p []byte) {
	if len(p) == 0 {
		return
	}
	z := &r.zipped
	if z.to == nil {
		var from *io.PipeReader
		from, z.to = io.Pipe()
		z.done = make(chan struct{})
		r.spawn(func() {
			defer close(z.done)
			z.err = r.decodeAll(from)
			_ = from.CloseWithError(io.ErrClosedPipe)
		})
	}
	_, _ = z.to.Write(p)
}

func (r *trial) decodeAll(from io.Reader) error {
	text, err := gzip.NewReader(from)
	if err != nil {
		return err
	}
	var buf [4 << 10]byte
	for {
		n, err := text.Read(buf[:])
		r.update(func() { r.strip.write(buf[:n]) })
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// endDecoding tells the decoder that nothing more comes.
func (r *trial) endDecoding() {
	if z := &r.zipped; z.to != nil {
		_ = z.to.Close()
		<-z.done
	}
}

// checkEncoding checks the headers that compression is about.
func (r *trial) checkEncoding(wrong func(string, ...any)) {
	want := ""
	if r.zips() {
		want = "gzip"
	}
	if got := strings.Join(r.header["Content-Encoding"], ", "); got != want {
		wrong("the Content-Encoding is %q, want %q", got, want)
	}
	if got := strings.Join(r.header["Vary"], ", "); strings.Contains(got, "Accept-Encoding") != r.Compress {
		wrong("Vary is %q, and the stream may be compressed: %t", got, r.Compress)
	}
}

// checkDecoded checks how a compressed body ends: it is whole if the response is, and is not
// if that has failed.
func (r *trial) checkDecoded(end core.Summary, want ending, wrong func(string, ...any)) {
	err := r.zipped.err
	leftAtEnd := r.end == gone && end.Err == nil // perhaps between the end of the body and that of the response
	switch {
	case !r.zips() || r.zipped.to == nil:
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		wrong("the body cannot be decoded: %v", err)
	case err != nil && r.end == clean:
		wrong("the response ends cleanly, but its compressed body does not: %v", err)
	case err == nil && want.kind == broken && !want.any && !leftAtEnd && !errors.Is(end.Cause, core.ErrSlowClient):
		wrong("the compressed body of a stream that has failed is whole")
	}
}
