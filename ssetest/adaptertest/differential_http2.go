package adaptertest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Frames of HTTP/2 (RFC 9113, section 6) that one request needs.
const (
	frameData         = 0
	frameHeaders      = 1
	frameRST          = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4

	settingInitialWindow = 4
	codeCancel           = 8
)

// An http2End is a client's end of a connection of HTTP/2 with one stream.
type http2End struct {
	mu sync.Mutex
	w  io.Writer
}

func (c *http2End) write(kind, flags byte, stream uint32, payload []byte) error {
	b := make([]byte, 9, 9+len(payload))
	binary.BigEndian.PutUint32(b, uint32(len(payload))<<8|uint32(kind)) //nolint:gosec // it is small
	b[4] = flags
	binary.BigEndian.PutUint32(b[5:], stream)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.w.Write(append(b, payload...))
	return err
}

// more lets the server send n more bytes.
func (c *http2End) more(n int) error {
	if n == 0 {
		return nil
	}
	p := binary.BigEndian.AppendUint32(nil, uint32(n)) //nolint:gosec // it is small
	return errors.Join(c.write(frameWindowUpdate, 0, 0, p), c.write(frameWindowUpdate, 0, 1, p))
}

// A flow is the room that the client gives the server.
type flow struct {
	to *http2End

	mu      sync.Mutex
	stalled bool
	owed    int
	frames  int
}

// took records a frame, and gives the same amount of room back.
func (f *flow) took(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed += n
	if f.frames++; f.frames > 10 && n < 1<<12 {
		f.owed += n // the window grows, because a narrow one would take too long
	}
	return f.give()
}

func (f *flow) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stalled = false
	_ = f.give()
}

func (f *flow) give() error {
	if f.stalled {
		return nil
	}
	n := f.owed
	f.owed = 0
	return f.to.more(n)
}

// talkHTTP2 returns nil if the stream ends with END_STREAM.
func (r *trial) talkHTTP2(c *wireEnd) error {
	h := &http2End{w: c.Conn}
	reset := func() {
		_ = h.write(frameRST, 0, 1, binary.BigEndian.AppendUint32(nil, codeCancel))
		_ = c.SetReadDeadline(time.Unix(1, 0)) // nothing more is read
	}
	r.update(func() { c.rst = reset })
	if err := r.requestHTTP2(h); err != nil {
		return err
	}
	f := &flow{to: h, stalled: r.deaf()}
	if f.stalled {
		r.spawn(func() { r.stall(); f.release() })
	}
	in := bufio.NewReader(c)
	for {
		kind, flags, stream, payload, err := readFrame(in)
		if err != nil {
			return err
		}
		end := flags&flagEndStream != 0 && (kind == frameData || kind == frameHeaders)
		switch kind {
		case frameHeaders:
			err = r.tookHeaders(payload)
		case frameData:
			if r.status == http.StatusOK {
				r.saw(payload)
			}
			if !end {
				err = f.took(len(payload))
			}
		case frameRST:
			if len(payload) != 4 || stream != 1 {
				return faultf("a RST_STREAM of stream %d with %d bytes", stream, len(payload))
			}
			return fmt.Errorf("RST_STREAM with code %d", binary.BigEndian.Uint32(payload))
		default:
			err = r.tookOther(h, kind, flags, payload)
		}
		if err != nil || end {
			return err
		}
	}
}

func (r *trial) tookHeaders(block []byte) error {
	status, err := statusOf(block)
	if err == nil && status >= 200 {
		r.begins(status, http.Header{})
	}
	return err
}

// tookOther takes a frame that is about the connection.
func (r *trial) tookOther(h *http2End, kind, flags byte, payload []byte) error {
	switch {
	case kind == frameSettings && flags&flagAck == 0:
		return h.write(kind, flagAck, 0, nil)
	case kind == framePing && flags&flagAck == 0:
		return h.write(kind, flagAck, 0, payload)
	case kind == frameGoAway && (len(payload) < 8 || binary.BigEndian.Uint32(payload[4:8]) != 0 && r.Client.Leaves == ""):
		return faultf("GOAWAY %x", payload)
	}
	return nil
}

func (r *trial) requestHTTP2(h *http2End) error {
	if _, err := io.WriteString(h.w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		return err
	}
	window := uint32(r.Client.Window) //nolint:gosec // it is small
	settings := binary.BigEndian.AppendUint16(nil, settingInitialWindow)
	if err := h.write(frameSettings, 0, 0, binary.BigEndian.AppendUint32(settings, window)); err != nil {
		return err
	}
	if window > 65535 {
		if err := h.write(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, window-65535)); err != nil {
			return err
		}
	}
	var block []byte
	scheme := "http"
	if r.Protocol == HTTP2 {
		scheme = "https"
	}
	accept := ""
	if r.Client.Gzip {
		accept = "gzip"
	}
	for _, f := range [][2]string{
		{":method", r.Client.Method}, {":scheme", scheme}, {":authority", "localhost"}, {":path", r.target()},
		{"last-event-id", r.LastEventID}, {"accept-encoding", accept},
	} {
		if f[1] != "" { // a literal without indexing (RFC 7541, section 6.2.2)
			block = append(append(block, 0, byte(len(f[0]))), f[0]...) //nolint:gosec // it is short
			block = append(append(block, byte(len(f[1]))), f[1]...)    //nolint:gosec // likewise
		}
	}
	if r.Client.Method != http.MethodPost {
		return h.write(frameHeaders, flagEndHeaders|flagEndStream, 1, block)
	}
	if err := h.write(frameHeaders, flagEndHeaders, 1, block); err != nil {
		return err
	}
	r.spawn(func() {
		for part := range 5 {
			if r.Client.Body == bodyLate {
				r.pause(time.Millisecond)
			}
			flags := byte(0)
			if r.Client.Body == bodyStalls && part == 5*r.Client.Cut/stallSize {
				return
			}
			if part == 4 {
				flags = flagEndStream
			}
			if h.write(frameData, flags, 1, []byte(strings.Repeat("b", 1000))) != nil {
				return
			}
		}
	})
	return nil
}

func readFrame(in *bufio.Reader) (kind, flags byte, stream uint32, payload []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, 0, 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:]) >> 8
	if size > 1<<14 {
		return 0, 0, 0, nil, faultf("a frame of %d bytes", size)
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(in, payload)
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]), payload, err
}

// statusOf reads the status from the start of a header block, where it has to be
// (RFC 9113, section 8.3), in the forms that servers use.
func statusOf(block []byte) (int, error) {
	indexed := map[byte]int{0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
	switch {
	case len(block) > 0 && indexed[block[0]] != 0:
		return indexed[block[0]], nil
	case len(block) < 2 || block[0] < 0x48 || block[0] > 0x4e || len(block) < 2+int(block[1]&0x7f):
		return 0, faultf("a header block begins with %x", block[:min(8, len(block))])
	}
	value := block[2 : 2+int(block[1]&0x7f)]
	status := 0
	if block[1]&0x80 == 0 {
		for _, digit := range value {
			status = 10*status + int(digit-'0')
		}
		return status, nil
	}
	// Huffman codes of digits (RFC 7541, appendix B): 0 to 2 are 00000 to 00010,
	// and 3 to 9 are 011001 to 011111.
	var bits uint64
	for _, b := range value {
		bits = bits<<8 | uint64(b)
	}
	bits <<= 64 - 8*len(value)
	for range 3 {
		if five := int(bits >> 59); five <= 2 {
			status = 10*status + five
			bits <<= 5
			continue
		}
		status = 10*status + int(bits>>58) - 0b011001 + 3
		bits <<= 6
	}
	return status, nil
}
