package watch_test

import (
	"fmt"
	"testing"

	"github.com/yieldsse/yieldsse/internal/watch"
)

func TestSet(t *testing.T) {
	s := watch.Set{Changed: make(chan struct{}, 1)}
	changed := func() bool {
		select {
		case <-s.Changed:
			return true
		default:
			return false
		}
	}
	check := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	var one, two int
	cancelOne := s.Add("a", func() { one++ })
	check("changed by the first function", changed(), true)
	cancelTwo := s.Add("a", func() { two++ })
	check("changed by the second function", changed(), false)
	s.Call("a")
	s.Call("b")
	check("calls", []int{one, two}, []int{1, 1})
	more, less := watch.Compare(&s, map[string]int{"b": 1})
	check("names", []any{more, less}, []any{[]string{"a"}, []string{"b"}})

	cancelOne()
	cancelOne()
	check("changed while there is a function", changed(), false)
	s.Call("a")
	check("calls", []int{one, two}, []int{1, 2})
	cancelTwo()
	check("changed by the last cancel", changed(), true)
	cancelTwo()
	check("changed by a cancel without an effect", changed(), false)
	more, less = watch.Compare(&s, map[string]int{"a": 1})
	check("names", []any{more, less}, []any{[]string{}, []string{"a"}})
}
