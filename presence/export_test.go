package presence

// Changes returns how many changes are to be told to other processes.
func (t *Tracker) Changes() int {
	t.lock()
	defer t.mu.Unlock()
	return len(t.cluster.changed)
}
