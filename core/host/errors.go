package host

import (
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/internal/config"
)

// usable returns err, or if its methods for [errors.Is] and [errors.As] panic, that panic as an
// error. The application has made it, and those methods are called where a panic would end the process
// or leave a connection open.
func usable(err error) (same error) {
	defer func() {
		if v := recover(); v != nil {
			same = &core.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	_ = errors.Is(err, errProbe)
	_, _ = errors.AsType[*probe](err)
	return err
}

// A probe is an error that no other is.
type probe struct{ error }

var errProbe error = &probe{errors.New("host: never returned")}

// Answerable returns err, or if that is a *[core.RefusedError] with a status that refuses nothing, one
// with 503.
func Answerable(err error) error {
	refused := refusedBy(err)
	if refused == nil || refuses(refused.Status) {
		return err
	}
	answerable := *refused
	answerable.Status = 503
	return &answerable
}

func refuses(status int) bool { return status == 204 || 300 <= status && status <= 599 }

// refusal refuses a request that may be sent again later, unless err says something else.
// It spreads the clients over time, as a shutdown does. The client is told the answer of a
// *[core.RefusedError], and the text of core's own errors. Another error may tell too much.
func refusal(err error) *core.RefusedError {
	after := config.ReturnFrom + rand.N(config.ReturnSpread) //nolint:gosec // not a secret
	refused := &core.RefusedError{Status: 503, RetryAfter: after.Round(time.Second), Err: err}
	if errors.Is(err, core.ErrKeyFull) {
		refused.Status = 429
	}
	if own := refusedBy(err); own != nil {
		refused.Message = own.Answer()
		if refuses(own.Status) {
			refused.Status, refused.RetryAfter = own.Status, own.RetryAfter
		}
	} else if !slices.ContainsFunc(tellable, func(e error) bool { return err == e }) { //nolint:errorlint // the very one
		refused.Message = "The stream cannot begin now. Try again later."
	}
	return refused
}

// tellable are the errors that say nothing about the server.
var tellable = []error{core.ErrShutdown, core.ErrGroupFull, core.ErrKeyFull, core.ErrRate, core.ErrEvicted}

// refusedBy returns the refusal that err is, or nil. One in a StreamError may be another
// server's.
func refusedBy(err error) *core.RefusedError {
	if _, failed := errors.AsType[*core.StreamError](err); failed {
		return nil
	}
	refused, _ := errors.AsType[*core.RefusedError](err)
	return refused
}
