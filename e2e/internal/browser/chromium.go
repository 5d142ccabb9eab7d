package browser

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// A chromium is a context of chromedp: of the browser, a profile or a window.
type chromium struct {
	ctx    context.Context
	cancel context.CancelFunc
}

func startChromium(path string) (Browser, error) {
	dir, err := os.MkdirTemp("", "chromium")
	if err != nil {
		return nil, err
	}
	options := append(slices.Clip(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // root has none
		chromedp.DisableGPU,
		chromedp.UserDataDir(dir),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors", true),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	b := &chromium{ctx, func() {
		cancel()
		cancelAllocator()
		_ = os.RemoveAll(dir)
	}}
	if err := b.begin(); err != nil {
		b.cancel()
		return nil, err
	}
	return b, nil
}

// begin makes what the context is for, which lasts as long as the context does. So
// there is no context of its own that could end sooner.
func (b *chromium) begin() error {
	late := time.AfterFunc(patience, b.cancel)
	err := chromedp.Do(b.ctx, chromedp.Navigate("about:blank"))
	if !late.Stop() {
		return fmt.Errorf("no window after %v: %w", patience, err)
	}
	return err
}

func (b *chromium) Profile() (Profile, error) {
	return b.sub(chromedp.WithNewBrowserContext())
}

// sub makes a context that is ready to use.
func (b *chromium) sub(opts ...chromedp.ContextOption) (*chromium, error) {
	ctx, cancel := chromedp.NewContext(b.ctx, opts...)
	s := &chromium{ctx, cancel}
	if err := s.begin(); err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

func (b *chromium) Open(url string) (Page, error) {
	p, err := b.sub()
	if err != nil {
		return nil, err
	}
	if err := p.Navigate(url); err != nil {
		p.cancel()
		return nil, err
	}
	return &chromiumPage{p}, nil
}

func (b *chromium) Navigate(url string) error { return b.do(chromedp.Navigate(url)) }

func (b *chromium) Eval(script string) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
}

func (b *chromium) Click(x, y float64) error { return b.do(chromedp.MouseClickXY(x, y)) }

func (b *chromium) Resize(width, height int) error {
	return b.do(chromedp.EmulateViewport(int64(width), int64(height)))
}

func (b *chromium) Screenshot(part Rect) ([]byte, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	beyond := true
	return chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		got, err := cdp.Call(ctx, t, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{
			CaptureBeyondViewport: &beyond,
			Clip:                  &cdppage.Viewport{X: part.X, Y: part.Y, Width: part.Width, Height: part.Height, Scale: 1},
		})
		if err != nil {
			return nil, err
		}
		return got.Data, nil
	})
}

// Close waits for the end of what was started.
func (b *chromium) Close() error {
	defer b.cancel()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Cancel(ctx)
}

// A chromiumPage is a window.
type chromiumPage struct{ *chromium }

// Close waits until Chromium has nothing more to tell of the window. If chromedp
// stopped listening to it before that, its only reader could wait for it for ever.
func (p *chromiumPage) Close() error {
	defer p.cancel()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	gone, err := chromedp.Detached(ctx)
	if err != nil {
		return err
	}
	window := chromedp.FromContext(ctx)
	params := target.CloseTargetParams{TargetID: window.Target.TargetID}
	if _, err := cdp.Call(ctx, window.Browser, target.CloseTarget, params); err != nil {
		return err
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing a window: %w", ctx.Err())
	}
}

func (b *chromium) do(a chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, a)
}
