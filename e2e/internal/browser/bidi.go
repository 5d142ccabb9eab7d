package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// A bidi is a WebDriver BiDi connection: commands and their answers.
type bidi struct {
	conn *websocket.Conn
	done chan struct{} // closed when the connection has ended

	mu      sync.Mutex
	last    int
	waiting map[int]chan<- answer
	err     error // why the connection ended

	consoles sync.Map // from a window's ID to its *console
}

// An answer is the answer to the command with this ID, or an event, which has no ID.
type answer struct {
	ID      int             `json:"id"`
	Type    string          `json:"type"`
	Method  string          `json:"method"` // of an event
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
}

func dialBidi(ctx context.Context, url string) (*bidi, error) {
	conn, res, err := websocket.Dial(ctx, url, nil)
	if res != nil && res.Body != nil {
		_ = res.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1) // screenshots are long
	b := &bidi{conn: conn, done: make(chan struct{}), waiting: make(map[int]chan<- answer)}
	go b.read() //nolint:gosec // it outlives ctx
	return b, nil
}

func (b *bidi) read() {
	defer close(b.done)
	for {
		var a answer
		err := wsjson.Read(context.Background(), b.conn, &a)
		b.mu.Lock()
		if err != nil {
			b.err = err
			for _, waits := range b.waiting {
				close(waits)
			}
			b.waiting = nil
			b.mu.Unlock()
			return
		}
		if waits, ok := b.waiting[a.ID]; ok {
			delete(b.waiting, a.ID)
			waits <- a
		}
		b.mu.Unlock()
		if a.Type == "event" {
			b.event(a)
		}
	}
}

// consoleOf returns the console of a window.
func (b *bidi) consoleOf(window string) *console {
	c, _ := b.consoles.LoadOrStore(window, new(console))
	return c.(*console) //nolint:forcetypeassert // nothing else is stored
}

// event records what a window writes to its console.
func (b *bidi) event(a answer) {
	var entry struct {
		Level  string `json:"level"`
		Text   string `json:"text"`
		Source struct {
			Context string `json:"context"`
		} `json:"source"`
	}
	if a.Method == "log.entryAdded" && json.Unmarshal(a.Params, &entry) == nil {
		b.consoleOf(entry.Source.Context).write(entry.Level + ": " + entry.Text)
	}
}

// call sends a command and reads the result into out, unless that is nil.
func (b *bidi) call(ctx context.Context, method string, params map[string]any, out any) error {
	waits := make(chan answer, 1)
	b.mu.Lock()
	if b.waiting == nil {
		defer b.mu.Unlock()
		return fmt.Errorf("%s: %w", method, b.err)
	}
	b.last++
	id := b.last
	b.waiting[id] = waits
	b.mu.Unlock()

	if err := wsjson.Write(ctx, b.conn, map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case a, ok := <-waits:
		switch {
		case !ok:
			return fmt.Errorf("%s: the connection has ended", method)
		case a.Type == "error":
			return fmt.Errorf("%s: %s: %s", method, a.Error, a.Message)
		case out == nil:
			return nil
		}
		return json.Unmarshal(a.Result, out)
	case <-ctx.Done():
		return fmt.Errorf("%s: firefox did not answer: %w", method, context.Cause(ctx))
	}
}

// A thrown is an exception of a script.
type thrown struct {
	Text string `json:"text"`
}

// eval returns the string that a script evaluates to, or the promise of one.
func (b *bidi) eval(ctx context.Context, window, script string) (string, error) {
	var got struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Thrown *thrown `json:"exceptionDetails"`
	}
	err := b.call(ctx, "script.evaluate", map[string]any{
		"expression": script, "target": map[string]any{"context": window}, "awaitPromise": true,
	}, &got)
	if err != nil {
		return "", err
	}
	if got.Thrown != nil {
		return "", errors.New(got.Thrown.Text)
	}
	text, ok := got.Result.Value.(string)
	if !ok {
		return "", fmt.Errorf("got %v from the script, want a string", got.Result.Value)
	}
	return text, nil
}

// close closes the connection, and waits for its reader to end.
func (b *bidi) close() {
	_ = b.conn.CloseNow()
	<-b.done
}
