package frameworks_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdaurl"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

func onLambda(messages messages) {
	mux := http.NewServeMux()
	mux.Handle("GET /rooms/{room}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return messages(r.Context(), r.PathValue("room"))
	}, core.WithMaxDuration(time.Minute))) // less than the function's timeout
	lambdaurl.Start(mux)
}

// runtimeAPI is where aws-lambda-go finds the address of Lambda's side. Where it is set,
// the test's program is a Lambda function.
const runtimeAPI = "AWS_LAMBDA_RUNTIME_API"

func TestMain(m *testing.M) {
	if os.Getenv(runtimeAPI) != "" {
		lambdaMain()
	}
	log.SetOutput(io.Discard) // streams fail on purpose
	os.Exit(m.Run())
}

// lambdaMain serves streams whose events are the lines of the standard input.
func lambdaMain() {
	lines := make(chan string)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	onLambda(func(ctx context.Context, _ string) core.Stream {
		return func(yield func(core.Event, error) bool) {
			for line := range core.Receive(ctx, lines) {
				switch line {
				case "end":
					return
				case "fail":
					yield(core.Event{}, errFailed)
					return
				case "id":
					line = core.LastEventID(ctx)
				}
				if !yield(core.Event{Data: line}, nil) {
					return
				}
			}
		}
	})
}

// A function is a Lambda function that runs in a process of its own, and Lambda's side
// of its runtime API.
type function struct {
	*testing.T

	stdin       io.Writer
	invocations chan *invocation
	exited      <-chan struct{} // closed
}

type invocation struct {
	timeout time.Duration
	request lambda.LambdaFunctionURLRequest

	response chan *http.Request // receives the function's response, which is a request
	done     chan struct{}      // closed when the response has been read
	broken   bool               // Lambda closes the connection then
}

func startFunction(t *testing.T) *function {
	t.Helper()
	f := &function{T: t, invocations: make(chan *invocation)}
	current := make(chan *invocation, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case i := <-f.invocations:
			current <- i
			h := w.Header()
			h.Set("Lambda-Runtime-Aws-Request-Id", "id")
			h.Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(i.timeout).UnixMilli()))
			_ = json.NewEncoder(w).Encode(i.request)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/id/response", func(w http.ResponseWriter, r *http.Request) {
		i := <-current
		i.response <- r
		<-i.done
		if i.broken {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close()
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	srv := httptest.NewServer(mux)

	ctx, cancel := context.WithTimeout(context.Background(), hosttest.Patience)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), runtimeAPI+"="+strings.TrimPrefix(srv.URL, "http://"))
	if f.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	f.exited = exited
	go func() { defer close(exited); _ = cmd.Wait() }()
	t.Cleanup(func() {
		cancel() // kills the function, and so ends its requests
		srv.Close()
	})
	return f
}

// tell writes lines for the function's stream.
func (f *function) tell(lines ...string) {
	f.Helper()
	if _, err := io.WriteString(f.stdin, strings.Join(lines, "\n")+"\n"); err != nil {
		f.Fatal(err)
	}
}

// invoke opens a stream of the function.
func (f *function) invoke(timeout time.Duration) (*invocation, *lambdaStream) {
	f.Helper()
	i := &invocation{timeout: timeout, response: make(chan *http.Request, 1), done: make(chan struct{})}
	i.request.RawPath = "/rooms/a"
	i.request.Headers = map[string]string{"last-event-id": "7"}
	i.request.RequestContext.DomainName = "x.lambda-url.example.com"
	i.request.RequestContext.HTTP.Method = http.MethodGet
	select {
	case f.invocations <- i:
	case <-f.exited:
		f.Fatal("the function has exited")
	}
	s := &lambdaStream{T: f.T, request: hosttest.Receive(f, i.response, "the function's response")}
	body := bufio.NewReader(s.request.Body)

	// A JSON object, eight zeros and then the body.
	var prelude strings.Builder
	for !strings.HasSuffix(prelude.String(), strings.Repeat("\x00", 8)) {
		b, err := body.ReadByte()
		if err != nil {
			f.Fatalf("the response's beginning: %q, %v", prelude.String(), err)
		}
		prelude.WriteByte(b)
	}
	var head struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
	}
	if err := json.Unmarshal([]byte(strings.TrimRight(prelude.String(), "\x00")), &head); err != nil {
		f.Fatal(err)
	}
	if got := head.Headers["Content-Type"]; head.StatusCode != http.StatusOK || !strings.HasPrefix(got, "text/event-stream") {
		f.Fatalf("response: got %d %s", head.StatusCode, got)
	}
	next, stop := iter.Pull2(core.Read(body))
	f.Cleanup(stop)
	s.next = next
	return i, s
}

type lambdaStream struct {
	*testing.T

	request *http.Request
	next    func() (core.Event, error, bool)
}

func (s *lambdaStream) wants(data string) {
	s.Helper()
	if e, err, ok := s.next(); !ok || err != nil || e.Data != data {
		s.Fatalf("event: got %+v, %v, %t, want %q", e, err, ok, data)
	}
}

// ends wants the end of the response, which Lambda passes on as a break if the trailer
// names an error.
func (s *lambdaStream) ends(wantError string) {
	s.Helper()
	if e, err, ok := s.next(); ok {
		s.Errorf("event: got %+v, %v, want the end", e, err)
	}
	if got := s.request.Trailer.Get("Lambda-Runtime-Function-Error-Type"); got != wantError {
		s.Errorf("error in the trailer: got %q, want %q", got, wantError)
	}
}

// A function streams to Lambda's runtime API.
func TestLambdaURL(t *testing.T) {
	f := startFunction(t)

	i, s := f.invoke(hosttest.Patience)
	for _, event := range []string{"one", "two"} {
		f.tell(event)
		s.wants(event)
	}
	f.tell("id")
	s.wants("7")
	f.tell("end")
	s.ends("")
	close(i.done)

	i, s = f.invoke(hosttest.Patience)
	f.tell("before")
	s.wants("before")
	f.tell("fail")
	s.ends("errorString")
	close(i.done)

	// At the function's timeout its stream ends cleanly.
	i, s = f.invoke(time.Second)
	s.ends("")
	close(i.done)

	// If Lambda takes no more of a response, the function exits, as aws-lambda-go wants it.
	i, s = f.invoke(hosttest.Patience)
	f.tell("before")
	s.wants("before")
	i.broken = true
	close(i.done)
	hosttest.Eventually(t, "the exit of the function", func() bool {
		_, _ = io.WriteString(f.stdin, "after\n") // which aws-lambda-go cannot send
		select {
		case <-f.exited:
			return true
		default:
			return false
		}
	})
}

// Whoever closes the pipe that aws-lambda-go reads from ends the stream at its next
// event or heartbeat. Detaching makes no difference.
func TestLambdaURLLeave(t *testing.T) {
	chat := newChat()
	invoke := lambdaurl.Wrap(nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return chat.messages(r.Context(), "idle")
	}, core.WithHeartbeat(10*time.Millisecond), core.WithDetach()))
	r := new(lambda.LambdaFunctionURLRequest)
	r.RequestContext.DomainName, r.RequestContext.HTTP.Method = "x", http.MethodGet
	res, err := invoke(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	go func() { // until it is closed: the stream begins after its headers have been read
		_, _ = io.Copy(io.Discard, res.Body)
	}()
	hosttest.Receive(t, chat.began, "the stream")
	_ = res.Close()
	visitor{chat: chat}.ended(t, core.ErrClientGone)
}

// aws-lambda-go-api-proxy sends whole responses only.
func TestLambdaProxy(t *testing.T) {
	handler := nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return newChat().messages(r.Context(), "flow")
	})
	res, err := httpadapter.New(handler).ProxyWithContext(t.Context(), lambda.APIGatewayProxyRequest{Path: "/", HTTPMethod: http.MethodGet})
	if want := "a *core.ProxyResponseWriter"; err != nil || res.StatusCode != http.StatusInternalServerError || !strings.Contains(res.Body, want) {
		t.Errorf("got %d %q, %v, want 500 %q", res.StatusCode, res.Body, err, want)
	}
}
