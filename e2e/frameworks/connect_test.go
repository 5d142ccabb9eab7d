package frameworks_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/hosttest"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// besideConnect returns a server of the streams and of the procedures of connect-go.
// service and procedures are what the generated function New…ServiceHandler returns.
func besideConnect(service string, procedures http.Handler, messages messages, stopCalls func()) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(service, procedures)
	mux.Handle("GET /rooms/{room}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return messages(r.Context(), r.PathValue("room"))
	}))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // for gRPC without TLS
	srv := &http.Server{Addr: ":8080", Handler: mux, Protocols: protocols, ReadHeaderTimeout: 5 * time.Second}
	srv.RegisterOnShutdown(stopCalls) // ends connect's own streams; those of the rooms end without it
	return srv
}

const procedure = "/chat.v1.ChatService/Watch"

func TestConnect(t *testing.T) {
	for _, tt := range []struct {
		name  string
		http2 bool
		opts  []connect.ClientOption
	}{
		{name: "Connect, HTTP1"},
		{name: "gRPC-Web, HTTP1", opts: []connect.ClientOption{connect.WithGRPCWeb()}},
		{name: "Connect, HTTP2", http2: true},
		{name: "gRPC, HTTP2", http2: true, opts: []connect.ClientOption{connect.WithGRPC()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chat := newChat()
			stopped, stopCalls := context.WithCancel(context.Background())
			defer stopCalls()
			watch := connect.NewServerStreamHandler(procedure,
				func(ctx context.Context, _ *connect.Request[emptypb.Empty], calls *connect.ServerStream[wrapperspb.StringValue]) error {
					if err := calls.Send(wrapperspb.String("watching")); err != nil {
						return err
					}
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-stopped.Done():
						return connect.NewError(connect.CodeUnavailable, errors.New("the server shuts down"))
					}
				})
			url, stop := start(t, besideConnect(procedure, watch, chat.messages, stopCalls))
			v := visitor{chat: chat, url: url, client: client(t, tt.http2)}

			// Both are open at once, on HTTP/2 on one connection.
			ctx, cancel := context.WithTimeout(t.Context(), hosttest.Patience)
			defer cancel()
			caller := connect.NewClient[emptypb.Empty, wrapperspb.StringValue](v.client, url+procedure, tt.opts...)
			call, err := caller.CallServerStream(ctx, connect.NewRequest(new(emptypb.Empty)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = call.Close() }()
			if !call.Receive() || call.Msg().GetValue() != "watching" {
				t.Fatalf("call: got %v, %v", call.Msg(), call.Err())
			}
			v.check(t, stop)
			if more := call.Receive(); more || connect.CodeOf(call.Err()) != connect.CodeUnavailable {
				t.Errorf("call at the shutdown: got %t, %v, want the code unavailable", more, call.Err())
			}
		})
	}
}
