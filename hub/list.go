package hub

import "sort"

// A list holds items by their numbers, which grow. Items come at its end, go at
// its front, and now and then from the middle. It has room for at most an eighth more
// items than it holds, and all operations are cheap on average.
type list[T comparable] struct {
	numbers []uint64
	items   []T // the zero value stands for one that was removed
	front   int // everything before it was removed
	live    int
}

// push adds an item. number is greater than all before.
func (l *list[T]) push(number uint64, item T) {
	if len(l.items) == cap(l.items) {
		l.makeRoom()
	}
	l.numbers = append(l.numbers, number)
	l.items = append(l.items, item)
	l.live++
}

// oldest returns the first item. There must be one.
func (l *list[T]) oldest() (number uint64, item T) {
	return l.numbers[l.front], l.items[l.front]
}

// find returns the index of the item of that number, or -1.
func (l *list[T]) find(number uint64) int {
	if l.live == 0 || number < l.numbers[l.front] {
		return -1
	}
	i := l.front
	if l.numbers[i] != number { // most calls are for the oldest
		i = l.after(number - 1)
	}
	var gone T
	if i == len(l.numbers) || l.numbers[i] != number || l.items[i] == gone {
		return -1
	}
	return i
}

// any reports whether there is an item after one number, through another.
func (l *list[T]) any(after, through uint64) bool {
	var gone T
	for i := l.after(after); i < len(l.numbers) && l.numbers[i] <= through; i++ {
		if l.items[i] != gone {
			return true
		}
	}
	return false
}

// before returns the number before that of the first item for which is returns true,
// as it must for all later ones, or last if there is none. Because of removed
// items the number may be smaller, but it is never that of an item.
func (l *list[T]) before(last uint64, is func(T) bool) uint64 {
	var gone T
	low, high := l.front, len(l.items)
	for low < high {
		middle := (low + high) / 2 //nolint:mnd // a half
		i := middle
		for i < high && l.items[i] == gone {
			i++
		}
		if i == high || is(l.items[i]) {
			high = middle
		} else {
			low = i + 1
		}
	}
	if low == len(l.items) {
		return last
	}
	return l.numbers[low] - 1
}

// remove removes the item of that number, if there is one.
func (l *list[T]) remove(number uint64) (item T, ok bool) {
	i := l.find(number)
	if i < 0 {
		return item, false
	}
	var none T
	item, l.items[i] = l.items[i], none
	l.live--
	for l.front < len(l.items) && l.items[l.front] == none {
		l.front++
	}
	if gone := len(l.items) - l.live; gone > 16+l.live/8 || l.live == 0 {
		l.compact()
	}
	return item, true
}

// makeRoom makes room for one more item.
func (l *list[T]) makeRoom() {
	if len(l.items)-l.live > l.live/16 {
		l.compact()
	} else {
		l.move(l.live + max(l.live/8, min(l.live, 8), 1))
	}
}

// compact frees the memory of removed items.
func (l *list[T]) compact() {
	switch {
	case l.live == 0:
		*l = list[T]{}
	case cap(l.items) > 2*l.live+64:
		l.move(l.live + l.live/8)
	default:
		l.pack(l.numbers[:0], l.items[:0])
	}
}

// move packs the list into new memory, for n items.
func (l *list[T]) move(n int) { l.pack(make([]uint64, 0, n), make([]T, 0, n)) }

// pack appends the remaining items to these slices, which become the list's.
func (l *list[T]) pack(numbers []uint64, items []T) {
	var none T
	for i := l.front; i < len(l.items); i++ {
		if l.items[i] != none {
			numbers, items = append(numbers, l.numbers[i]), append(items, l.items[i])
		}
	}
	if len(l.items) > len(items) && cap(l.items) == cap(items) {
		clear(l.items[len(items):])
	}
	l.numbers, l.items, l.front = numbers, items, 0
}

// after returns the index of the first item whose number is greater, removed or not,
// or len(l.items). It looks near the end first, because most subscriptions are there.
func (l *list[T]) after(number uint64) int {
	low, high := l.front, len(l.numbers)
	for step := 1; high-step >= l.front; step *= 2 {
		if l.numbers[high-step] <= number {
			low = high - step + 1
			break
		}
		high -= step
	}
	return low + sort.Search(high-low, func(i int) bool { return l.numbers[low+i] > number })
}
