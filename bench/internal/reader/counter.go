// Package reader is the client of the measurements. It does as little as it can while
// it still counts every event, so that its cost does not hide the server's.
package reader

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Counter counts the events of a response that is written to it as it arrives: an
// HTTP/1.1 head, then chunks. The IDs must be whole numbers, or end with a hyphen and a
// whole number, each greater than the one before.
//
// The zero Counter works.
type Counter struct {
	Events   int
	Lost     int   // events that the IDs show to be missing
	Comments int   // lines that are comments
	Bytes    int64 // all bytes, including the head and the chunks' frames

	// Data is called with the data of each event, if it is not nil.
	Data func(data []byte)

	part    part
	text    []byte // the beginning of an unfinished line outside the body
	left    int    // bytes of the chunk that have not arrived
	line    []byte // the beginning of an unfinished line of the body
	id      int
	hasID   bool
	hasData bool
}

// A part of a response.
type part int

const (
	head part = iota
	chunkSize
	chunk
	chunkEnd
	trailer
	end
)

// Complete reports whether the response has come to a clean end.
func (c *Counter) Complete() bool { return c.part == end }

// begun reports whether the response's head has arrived.
func (c *Counter) begun() bool { return c.part != head }

// Write takes the next bytes of the response.
func (c *Counter) Write(p []byte) (int, error) {
	n := len(p)
	c.Bytes += int64(n)
	for len(p) > 0 {
		if c.part == chunk {
			body := p[:min(c.left, len(p))]
			p = p[len(body):]
			if err := c.body(body); err != nil {
				return n, err
			}
			if c.left -= len(body); c.left == 0 {
				c.part = chunkEnd
			}
			continue
		}
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		p = rest
		if len(c.text) > 0 || !whole {
			c.text = append(c.text, line...)
			line = c.text
		}
		if !whole {
			break
		}
		if err := c.frame(string(bytes.TrimSuffix(line, []byte("\r")))); err != nil {
			return n, err
		}
		c.text = c.text[:0]
	}
	return n, nil
}

// frame takes a line of the response outside its body.
func (c *Counter) frame(line string) error {
	switch c.part {
	case head:
		if strings.HasPrefix(line, "HTTP/") && !strings.HasPrefix(line, "HTTP/1.1 200 ") {
			return fmt.Errorf("reader: the answer is %q", line)
		}
		if line == "" {
			c.part = chunkSize
		}
	case chunkSize:
		size, err := strconv.ParseInt(line, 16, 32)
		if err != nil {
			return fmt.Errorf("reader: the size of a chunk is %q", line)
		}
		if c.part, c.left = chunk, int(size); size == 0 {
			c.part = trailer
		}
	case chunkEnd:
		if line != "" {
			return fmt.Errorf("reader: got %q, want the end of a chunk", line)
		}
		c.part = chunkSize
	case trailer:
		if line == "" {
			c.part = end
		}
	case chunk, end:
		return fmt.Errorf("reader: %q after the end", line)
	}
	return nil
}

// body takes the next bytes of the event stream.
func (c *Counter) body(p []byte) error {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.line = append(c.line, p...)
			return nil
		}
		line := p[:i]
		p = p[i+1:]
		if len(c.line) > 0 {
			line = append(c.line, line...)
			c.line = line[:0]
		}
		if err := c.field(line); err != nil {
			return err
		}
	}
	return nil
}

func (c *Counter) field(line []byte) error {
	switch {
	case len(line) == 0:
		if c.hasData {
			c.Events++
		}
		c.hasData = false
	case line[0] == ':':
		c.Comments++
	case bytes.HasPrefix(line, []byte("data:")):
		c.hasData = true
		if c.Data != nil {
			c.Data(value(line, "data:"))
		}
	case bytes.HasPrefix(line, []byte("id:")):
		number := value(line, "id:")
		number = number[bytes.LastIndexByte(number, '-')+1:]
		id, err := strconv.Atoi(string(number))
		if err != nil {
			return fmt.Errorf("reader: %q does not end with a number", line)
		}
		if c.hasID {
			if id <= c.id {
				return fmt.Errorf("reader: event %d comes after %d", id, c.id)
			}
			c.Lost += id - c.id - 1
		}
		c.id, c.hasID = id, true
	}
	return nil
}

// value returns a field's value.
func value(line []byte, name string) []byte {
	return bytes.TrimPrefix(line[len(name):], []byte(" "))
}

// ErrLoss means that events are missing.
var ErrLoss = errors.New("reader: events were lost")
