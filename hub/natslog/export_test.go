package natslog

// Owned returns how many runs of this process are known.
func (r *Runs) Owned() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.owned)
}
