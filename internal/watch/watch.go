// Package watch keeps functions that are called when something has happened, by the names of what it
// may happen to.
package watch

import "sync"

// A Set is some functions, by names. The zero Set is empty. Its methods may be called by several
// goroutines at once.
type Set struct {
	// Changed gets a value when there is a function for another name, or none for a name any more. It
	// must have room for one, or be nil.
	Changed chan struct{}

	mu    sync.Mutex
	funcs map[string]map[*func()]bool
}

// Add has f called by Call, until cancel is called. f must not block, or call the set. cancel may be called
// more than once.
func (s *Set) Add(name string, f func()) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.funcs == nil {
		s.funcs = make(map[string]map[*func()]bool)
	}
	if s.funcs[name] == nil {
		s.funcs[name] = make(map[*func()]bool)
		s.change()
	}
	s.funcs[name][&f] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.funcs[name][&f] {
			return
		}
		if delete(s.funcs[name], &f); len(s.funcs[name]) == 0 {
			delete(s.funcs, name)
			s.change()
		}
	}
}

func (s *Set) change() {
	select {
	case s.Changed <- struct{}{}:
	default:
	}
}

// Call calls the functions of a name.
func (s *Set) Call(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.funcs[name] {
		(*f)()
	}
}

// Compare returns the names that has lacks, and those that it need not have.
func Compare[T any](s *Set, has map[string]T) (more, less []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.funcs {
		if _, ok := has[name]; !ok {
			more = append(more, name)
		}
	}
	for name := range has {
		if s.funcs[name] == nil {
			less = append(less, name)
		}
	}
	return more, less
}
