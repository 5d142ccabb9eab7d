package core

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
)

// logTo is the observer of WithLogger.
func logTo(l *slog.Logger) Observer {
	return Observer{
		Refused: func(ctx context.Context, err *RefusedError) {
			l.LogAttrs(ctx, refusalLevel(err), "stream refused",
				append(about(ctx), slog.Int("status", err.Status), slog.Any("error", cmp.Or(err.Err, error(err))))...) // slog quotes it
		},
		Closed: func(ctx context.Context, end Summary) {
			if level, message, err := end.line(); message != "" {
				l.LogAttrs(ctx, level, message, append(about(ctx), slog.Any("error", err),
					slog.Int("events", end.Events), slog.Int64("bytes", end.Bytes), slog.Duration("duration", end.Duration))...)
			}
		},
	}
}

// about is which request a line is about.
func about(ctx context.Context) []slog.Attr {
	r := RequestOf(ctx)
	return []slog.Attr{slog.String("method", r.Method), slog.String("path", r.Path), slog.String("remote", r.RemoteAddr)}
}

func refusalLevel(err *RefusedError) slog.Level {
	switch {
	case err.Status < 500: //nolint:mnd // the client's errors
		return slog.LevelDebug
	case err.Status == 500: //nolint:mnd // as net/http's, which core does not import
		return slog.LevelError
	case errors.Is(err, ErrShutdown):
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

// line returns the message of a session's end and the error to tell, or no message if it
// deserves none. What a generator yields after something else has ended its session is not a
// failure, except for a panic: often it is only a driver's own word for that end.
func (s *Summary) line() (level slog.Level, message string, err error) {
	_, panicked := errors.AsType[*PanicError](s.Err)
	switch cause := s.Cause; {
	case s.Err != nil && (cause == nil || panicked):
		return slog.LevelError, "stream failed", s.Err
	case errors.Is(cause, ErrSlowClient):
		return slog.LevelWarn, "client does not read", cause
	case cause == nil, errors.Is(cause, ErrClientGone), errors.Is(cause, ErrMaxDuration), errors.Is(cause, ErrShutdown),
		errors.Is(cause, ErrExpired), errors.Is(cause, ErrEvicted):
		return 0, "", nil
	default:
		return slog.LevelInfo, "stream ended early", cause
	}
}
