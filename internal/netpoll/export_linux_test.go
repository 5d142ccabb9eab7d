package netpoll

// Epoll returns the poller's epoll instance, or nil if it has none.
func Epoll() any {
	thePoller.mu.Lock()
	defer thePoller.mu.Unlock()
	if thePoller.file == nil {
		return nil
	}
	return thePoller.file
}
