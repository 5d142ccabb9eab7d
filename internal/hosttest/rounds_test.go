package hosttest

import "testing"

func TestRounds(t *testing.T) {
	for ci, want := range map[string][4]int{ // of 0, 1, 30 and 101
		"true": {0, 1, 30, 101},
		"":     {0, 1, 3, 11},
	} {
		t.Setenv("CI", ci)
		if got := [4]int{Rounds(0), Rounds(1), Rounds(30), Rounds(101)}; got != want {
			t.Errorf("CI %q: got %v, want %v", ci, got, want)
		}
	}
}
