package browser

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// A chromium is a context of chromedp: of the browser, a profile or a window.
type chromium struct {
	ctx    context.Context
	cancel context.CancelFunc // waits for the browser
}

// within runs f with a context that is derived from b's and ends with ctx. It returns
// when ctx ends, even if f does not, because some of chromedp's waits have no bound.
func within[T any](ctx context.Context, b *chromium, f func(own context.Context) (T, error)) (T, error) {
	own, cancel := context.WithCancel(b.ctx)
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer cancel()
		v, err := f(own)
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		cancel()
		var none T
		return none, fmt.Errorf("chromium did not answer: %w", context.Cause(ctx))
	}
}

// do is within for functions without a result.
func (b *chromium) do(ctx context.Context, f func(own context.Context) error) error {
	_, err := within(ctx, b, func(own context.Context) (struct{}, error) { return struct{}{}, f(own) })
	return err
}

// act runs an action without a result.
func (b *chromium) act(ctx context.Context, a chromedp.Action[chromedp.Void]) error {
	return b.do(ctx, func(own context.Context) error { return chromedp.Do(own, a) })
}

// drop ends b's context, and waits until that is done.
func (b *chromium) drop(ctx context.Context) error {
	return b.do(ctx, func(context.Context) error {
		b.cancel()
		return nil
	})
}

func startChromium(ctx context.Context, path string) (Browser, error) {
	dir, err := os.MkdirTemp("", "chromium")
	if err != nil {
		return nil, err
	}
	options := append(slices.Clip(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // root cannot use it
		chromedp.DisableGPU,
		chromedp.UserDataDir(dir),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("force-prefers-reduced-motion", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors", true),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	own, cancel := chromedp.NewContext(allocator)
	b := &chromium{own, func() {
		cancel()
		cancelAllocator()
		_ = os.RemoveAll(dir)
	}}
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// begin starts the browser, profile or window of b's context. It uses that context
// itself, because what it starts ends with the context that it uses.
func (b *chromium) begin(ctx context.Context) error {
	err := b.do(ctx, func(context.Context) error { return chromedp.Do(b.ctx, chromedp.Navigate("about:blank"), quiet) })
	if err != nil {
		_ = b.drop(ctx)
	}
	return err
}

// quiet ends messages that chromedp asks for and no test needs: about each node that a page
// changes, its style, and each part of a response. They cost more than the pages do.
func quiet(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
	for _, method := range []string{dom.CommandDisable, css.CommandDisable, network.CommandDisable} {
		if err := t.Call(ctx, method, cdp.Empty{}, nil); err != nil {
			return none, fmt.Errorf("%s: %w", method, err)
		}
	}
	return none, nil
}

func (b *chromium) Profile(ctx context.Context) (Profile, error) {
	return b.sub(ctx, chromedp.WithNewBrowserContext())
}

// sub makes a context that is ready to use.
func (b *chromium) sub(ctx context.Context, opts ...chromedp.ContextOption) (*chromium, error) {
	own, cancel := chromedp.NewContext(b.ctx, opts...)
	s := &chromium{own, cancel}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (b *chromium) Open(ctx context.Context, url string) (Page, error) {
	sub, err := b.sub(ctx)
	if err != nil {
		return nil, err
	}
	p := &chromiumPage{chromium: sub}
	messages := chromedp.Console(p.ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			p.write(m.String())
		}
	}()
	if err := p.Navigate(ctx, url); err != nil {
		_ = p.drop(ctx)
		return nil, err
	}
	return p, nil
}

// Close waits until the browser, or the profile, has ended.
func (b *chromium) Close(ctx context.Context) error {
	err := b.do(ctx, chromedp.Cancel)
	if dropped := b.drop(ctx); err == nil {
		err = dropped
	}
	return err
}

// A chromiumPage is a window.
type chromiumPage struct {
	*chromium
	console
}

func (p *chromiumPage) Navigate(ctx context.Context, url string) error {
	return p.act(ctx, chromedp.Navigate(url))
}

func (p *chromiumPage) Eval(ctx context.Context, script string) (string, error) {
	return within(ctx, p.chromium, func(own context.Context) (string, error) {
		return chromedp.Run(own, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	})
}

func (p *chromiumPage) Click(ctx context.Context, x, y float64) error {
	return p.act(ctx, chromedp.MouseClickXY(x, y))
}

func (p *chromiumPage) Resize(ctx context.Context, width, height int) error {
	return p.act(ctx, chromedp.EmulateViewport(int64(width), int64(height)))
}

func (p *chromiumPage) Screenshot(ctx context.Context, part Rect) ([]byte, error) {
	beyond := true
	return within(ctx, p.chromium, func(own context.Context) ([]byte, error) {
		return chromedp.Run(own, func(own context.Context, t *chromedp.Target) ([]byte, error) {
			got, err := cdp.Call(own, t, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{
				CaptureBeyondViewport: &beyond,
				Clip:                  &cdppage.Viewport{X: part.X, Y: part.Y, Width: part.Width, Height: part.Height, Scale: 1},
			})
			if err != nil {
				return nil, err
			}
			return got.Data, nil
		})
	})
}

// Close waits until Chromium has sent its last message about the window. If chromedp
// stopped listening before that, its only reader could wait forever.
func (p *chromiumPage) Close(ctx context.Context) error {
	err := p.do(ctx, func(own context.Context) error {
		gone, err := chromedp.Detached(own)
		if err != nil {
			return err
		}
		window := chromedp.FromContext(own)
		params := target.CloseTargetParams{TargetID: window.Target.TargetID}
		if _, err := cdp.Call(own, window.Browser, target.CloseTarget, params); err != nil {
			return err
		}
		select {
		case <-gone:
			return nil
		case <-own.Done():
			return fmt.Errorf("closing a window: %w", own.Err())
		}
	})
	if dropped := p.drop(ctx); err == nil {
		err = dropped
	}
	return err
}
