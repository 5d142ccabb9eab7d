package clients_test

import (
	"bufio"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/e2e/internal/programs"
	"github.com/yieldsse/yieldsse/internal/testenv"
)

// patience bounds each wait.
const patience = time.Minute

// An ask tells a client what to do.
type ask struct {
	URL         string `json:"url"`
	LastEventID string `json:"lastEventId"` // for clients that do not reconnect
	Body        string `json:"body"`        // posted if it is not empty
	Leave       int    `json:"leave"`       // leave after this many events
}

func (a ask) String() string {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // cannot happen: strings and a number can be encoded
	}
	return string(text)
}

// A line is what a client reports. Say is one of
//
//	open     the response is a stream
//	event    with its ID, type and data
//	end      the response has ended
//	broken   the response was broken off
//	again    either of these two, but the client reconnects and does not tell them apart
//	stopped  the response was 204, and the client does not come back
//	left     the client has closed the stream, and its process still runs
type line struct {
	Say  string `json:"say"`
	ID   string `json:"id"`
	Type string `json:"type"`
	Data string `json:"data"`
}

// says makes lines from words and events.
func says(all ...any) []line {
	var lines []line
	for _, one := range all {
		switch one := one.(type) {
		case string:
			lines = append(lines, line{Say: one})
		case core.Event:
			lines = append(lines, line{Say: "event", ID: one.ID, Type: one.Type, Data: one.Data})
		case []core.Event:
			for _, e := range one {
				lines = append(lines, says(e)...)
			}
		}
	}
	return lines
}

// A process is a client that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr programs.Transcript
	lines  chan line // closed at the end of the process
	err    error     // how the process ended; valid when lines is closed
}

// start runs a client. read makes lines of its output, and waits for its end.
func start(t *testing.T, cmd *exec.Cmd, read func(p *process, stdout io.Reader) error) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, lines: make(chan line, 100)}
	cmd.Stderr = &p.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.lines)
		p.err = read(p, stdout)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			t.Logf("%s: stderr: %s", cmd, p.stderr.String())
		}
	})
	return p
}

// readJSON reads the output of the scripts in testdata.
func readJSON(p *process, stdout io.Reader) error {
	for in := bufio.NewScanner(stdout); in.Scan(); {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			l.Say = in.Text()
		}
		p.lines <- l
	}
	return p.cmd.Wait()
}

// wants waits for lines.
func (p *process) wants(want []line) {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for i, want := range want {
		select {
		case got, ok := <-p.lines:
			switch {
			case !ok:
				p.t.Fatalf("line %d: got the client's end, want %+v", i+1, want)
			case got != want:
				p.t.Fatalf("line %d: got %+v, want %+v", i+1, got, want)
			}
		case <-timer.C:
			p.t.Fatalf("line %d: got nothing, want %+v", i+1, want)
		}
	}
}

// ends waits for the end of the client, which must report nothing more and succeed.
func (p *process) ends() {
	p.t.Helper()
	_ = p.stdin.Close()
	select {
	case l, ok := <-p.lines:
		if ok {
			p.t.Fatalf("got %+v, want the client's end", l)
		}
	case <-time.After(patience):
		p.t.Fatalf("the client did not end within %v", patience)
	}
	if p.err != nil {
		p.t.Error(p.err)
	}
}

// curl starts curl. broken is its exit code for a broken response.
func curl(t *testing.T, a ask, broken int, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	args = append(args, "--no-buffer", "--silent", "--show-error", "--max-time", strconv.Itoa(int(patience.Seconds())), "--dump-header", filepath.Join(dir, "head"))
	if a.LastEventID != "" {
		args = append(args, "--header", "Last-Event-ID: "+a.LastEventID)
	}
	if a.Body != "" {
		args = append(args, "--data-binary", a.Body)
	}
	return start(t, exec.Command(testenv.Program(t, "curl"), append(args, a.URL)...), func(p *process, stdout io.Reader) error {
		in := bufio.NewReader(stdout)
		if _, err := in.Peek(1); err == nil {
			p.lines <- line{Say: "open"}
		}
		for e, err := range core.Read(in) {
			if err != nil {
				break
			}
			p.lines <- says(e)[0]
		}
		err := p.cmd.Wait()
		head, _ := fs.ReadFile(os.DirFS(dir), "head") // empty if there is none
		switch {
		case p.cmd.ProcessState.ExitCode() == broken:
			p.lines <- line{Say: "broken"}
			return nil
		case err == nil && regexp.MustCompile(`^HTTP/\S+ 204`).Match(head):
			p.lines <- line{Say: "stopped"}
		case err == nil:
			p.lines <- line{Say: "end"}
		}
		return err
	})
}
