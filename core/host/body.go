package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/yieldsse/yieldsse/core"
)

// The limits of [DrainBody], for the part of a request's body that the view has not read.
const (
	MaxBody     = 1 << 20         // bytes
	BodyTimeout = 5 * time.Second // for all of it
)

// DrainBody reads the rest of a request's body. An adapter must call it before the
// response begins: a host that has not read a body to its end may wait for the rest
// before it sends the headers, or may not notice that the client leaves. ctx is the
// session's. setDeadline sets the host's read deadline; if DrainBody returns nil, the
// adapter must lift it.
//
// The error is a *[core.RefusedError] with status 413 if there is more than [MaxBody], 408
// if the body has not ended within [BodyTimeout], 503 if a shutdown came first, and 400 if
// the body cannot be read. Then the adapter must not read any more, and must close the
// connection after its answer.
func DrainBody(ctx context.Context, body io.Reader, setDeadline func(time.Time) error) error {
	deadline := time.Now().Add(BodyTimeout)
	if err := setDeadline(deadline); err != nil {
		return bodyRefusal(ctx, discardWithoutDeadline(ctx, body))
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = setDeadline(time.Unix(1, 0))
	})
	err := discard(body)
	if !stop() {
		<-stopped // because the handler may return soon, and then the connection is not ours any more
	}
	if err != nil && !errors.Is(err, errBodyTooLarge) && !time.Now().Before(deadline) {
		err = os.ErrDeadlineExceeded // a reader may have replaced that error
	}
	return bodyRefusal(ctx, err)
}

var errBodyTooLarge = fmt.Errorf("host: the view has left more than %d MiB of the request's body unread: read it in the view", MaxBody>>20)

// discard reads body to its end.
func discard(body io.Reader) error {
	_, err := io.CopyN(io.Discard, body, MaxBody+1)
	switch {
	case err == nil:
		return errBodyTooLarge
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// discardWithoutDeadline is discard for a host whose reads have no deadline: another goroutine
// reads, and may remain until the host ends the read.
func discardWithoutDeadline(ctx context.Context, body io.Reader) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("its reader panicked")
		defer func() {
			_ = recover() // no caller would
			done <- err
		}()
		err = discard(body)
	}()
	timer := time.NewTimer(BodyTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	case <-ctx.Done():
	}
	return os.ErrDeadlineExceeded
}

// bodyRefusal returns the refusal of a request whose body was not read to its end, or nil.
func bodyRefusal(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errBodyTooLarge):
		return &core.RefusedError{Status: 413, Message: "The request's body is too large.", Err: err}
	case errors.Is(context.Cause(ctx), core.ErrShutdown):
		return refusal(core.ErrShutdown)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &core.RefusedError{Status: 408, Message: "The request's body did not arrive in time.", Err: fmt.Errorf(
			"host: the rest of the request's body has not arrived within %v: read it in the view if it may take longer", BodyTimeout)}
	default:
		err = fmt.Errorf("host: read the request's body: %w", err) // with the addresses of both ends
		return &core.RefusedError{Status: 400, Message: "The request's body cannot be read.", Err: err}
	}
}
