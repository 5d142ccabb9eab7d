//go:build !linux

package core

// poll reports that there is no poller: a goroutine reads the connection.
func (w *wire) poll() bool { return false }

func (w *wire) unpoll() {}
