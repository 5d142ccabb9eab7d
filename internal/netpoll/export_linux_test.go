package netpoll

import "os"

// Epoll returns the poller's epoll instance, or nil if it has none.
func Epoll() *os.File {
	thePoller.mu.Lock()
	defer thePoller.mu.Unlock()
	return thePoller.file
}
