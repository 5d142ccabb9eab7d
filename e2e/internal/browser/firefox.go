package browser

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// preferences keep Firefox from contacting other addresses, from slowing down the timers of
// windows in the background, and from painting more often than a test looks.
const preferences = `
user_pref("app.normandy.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("dom.min_background_timeout_value", 4);
user_pref("dom.timeout.enable_budget_timer_throttling", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("nimbus.rollouts.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("ui.prefersReducedMotion", 1);
user_pref("layout.frame_rate", 10);
`

type firefox struct {
	*bidi
	cmd    *exec.Cmd
	dir    string
	exited chan error
}

func startFirefox(ctx context.Context, path string) (Browser, error) {
	dir, err := os.MkdirTemp("", "firefox")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "user.js"), []byte(preferences), 0o600); err != nil {
		return nil, err
	}
	f := &firefox{dir: dir, exited: make(chan error, 1)}
	args := []string{"--headless", "--no-remote", "--remote-debugging-port=0", "--profile", dir}
	f.cmd = exec.Command(path, args...) //nolint:gosec // from the PATH
	stderr, err := f.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	listens := make(chan string, 1)
	go func() {
		defer close(listens)
		address := regexp.MustCompile(`^WebDriver BiDi listening on (ws://\S+)`)
		in := bufio.NewReader(stderr)
		for {
			line, err := in.ReadString('\n')
			if m := address.FindStringSubmatch(line); m != nil {
				listens <- m[1]
			}
			if err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
		f.exited <- f.cmd.Wait()
	}()
	select {
	case url, ok := <-listens:
		if !ok {
			err = errors.New("it ended before it listened")
			break
		}
		if f.bidi, err = dialBidi(ctx, url+"/session"); err == nil {
			err = f.call(ctx, "session.new", map[string]any{
				"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}},
			}, nil)
		}
		if err == nil {
			err = f.call(ctx, "session.subscribe", map[string]any{"events": []string{"log.entryAdded"}}, nil)
		}
	case <-ctx.Done():
		err = fmt.Errorf("it did not listen: %w", context.Cause(ctx))
	}
	if err != nil {
		_ = f.Close(ctx)
		return nil, err
	}
	return f, nil
}

func (f *firefox) Profile(ctx context.Context) (Profile, error) {
	var made struct {
		ID string `json:"userContext"`
	}
	if err := f.call(ctx, "browser.createUserContext", map[string]any{}, &made); err != nil {
		return nil, err
	}
	return &container{f.bidi, made.ID}, nil
}

// Close ends the browser. It kills the browser if ctx ends first.
func (f *firefox) Close(ctx context.Context) error {
	defer func() { _ = os.RemoveAll(f.dir) }()
	if f.bidi != nil {
		_ = f.call(ctx, "browser.close", map[string]any{}, nil)
		f.close()
	} else {
		_ = f.cmd.Process.Kill()
	}
	select {
	case err := <-f.exited:
		return err
	case <-ctx.Done():
		_ = f.cmd.Process.Kill()
		return fmt.Errorf("browser: firefox did not end: %w", context.Cause(ctx))
	}
}

// A container is Firefox's name for a profile within a profile.
type container struct {
	*bidi
	id string
}

func (c *container) Open(ctx context.Context, url string) (Page, error) {
	var made struct {
		ID string `json:"context"`
	}
	if err := c.call(ctx, "browsingContext.create", map[string]any{"type": "window", "userContext": c.id}, &made); err != nil {
		return nil, err
	}
	w := &window{c.bidi, c.consoleOf(made.ID), made.ID}
	if err := w.Navigate(ctx, url); err != nil {
		_ = w.Close(ctx)
		return nil, err
	}
	return w, nil
}

func (c *container) Close(ctx context.Context) error {
	return c.call(ctx, "browser.removeUserContext", map[string]any{"userContext": c.id}, nil)
}

type window struct {
	*bidi
	*console
	id string
}

func (w *window) Navigate(ctx context.Context, url string) error {
	return w.call(ctx, "browsingContext.navigate", map[string]any{"context": w.id, "url": url, "wait": "complete"}, nil)
}

func (w *window) Eval(ctx context.Context, script string) (string, error) {
	return w.eval(ctx, w.id, script)
}

func (w *window) Click(ctx context.Context, x, y float64) error {
	type action map[string]any
	return w.call(ctx, "input.performActions", map[string]any{"context": w.id, "actions": []action{{
		"type": "pointer", "id": "mouse", "actions": []action{
			{"type": "pointerMove", "x": int(x), "y": int(y)},
			{"type": "pointerDown", "button": 0},
			{"type": "pointerUp", "button": 0},
		},
	}}}, nil)
}

func (w *window) Resize(ctx context.Context, width, height int) error {
	return w.call(ctx, "browsingContext.setViewport", map[string]any{
		"context": w.id, "viewport": map[string]any{"width": width, "height": height},
	}, nil)
}

func (w *window) Screenshot(ctx context.Context, part Rect) ([]byte, error) {
	var got struct {
		Data []byte `json:"data"`
	}
	err := w.call(ctx, "browsingContext.captureScreenshot", map[string]any{
		"context": w.id, "origin": "document",
		"clip": map[string]any{"type": "box", "x": part.X, "y": part.Y, "width": part.Width, "height": part.Height},
	}, &got)
	return got.Data, err
}

func (w *window) Close(ctx context.Context) error {
	return w.call(ctx, "browsingContext.close", map[string]any{"context": w.id}, nil)
}
