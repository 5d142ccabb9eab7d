package host

import "container/heap"

// An agenda holds the sessions of a worker whose tick must be called later. Heartbeats and looks
// for slow clients come in common steps (see inStep), so for them it has an appointment for each
// time, and not one for each session. The worker's mu guards it.
type agenda struct {
	at    map[int64]*appointment
	order appointments
}

// An appointment is a time, in terms of clock, and the sessions whose tick is then called.
type appointment struct {
	due   int64
	first *detachedConn
	index int // in agenda.order
}

// An entry is a session's place in an appointment. The worker's mu guards it.
type entry struct {
	appointment   *appointment // nil if there is none
	before, after *detachedConn
}

// keptAppointments is for how many appointments an agenda keeps the memory when it is empty.
const keptAppointments = 1 << 10

// put makes an appointment for c, instead of the one that it may have.
func (a *agenda) put(c *detachedConn, due int64) {
	if c.entry.appointment != nil {
		if c.entry.appointment.due == due {
			return
		}
		a.remove(c)
	}
	p := a.at[due]
	if p == nil {
		if a.at == nil {
			a.at = make(map[int64]*appointment)
		}
		p = &appointment{due: due}
		a.at[due] = p
		heap.Push(&a.order, p)
	}
	c.entry = entry{appointment: p, after: p.first}
	if p.first != nil {
		p.first.entry.before = c
	}
	p.first = c
}

// remove cancels c's appointment, if there is one.
func (a *agenda) remove(c *detachedConn) {
	e := c.entry
	p := e.appointment
	if p == nil {
		return
	}
	c.entry = entry{}
	if e.after != nil {
		e.after.entry.before = e.before
	}
	if e.before != nil {
		e.before.entry.after = e.after
	} else if p.first = e.after; p.first == nil {
		heap.Remove(&a.order, p.index)
		delete(a.at, p.due)
		if len(a.order) == 0 && cap(a.order) > keptAppointments {
			*a = agenda{} // because neither a map nor a heap becomes smaller
		}
	}
}

// next removes and returns a session whose time has come, or returns nil.
func (a *agenda) next(now int64) *detachedConn {
	if len(a.order) == 0 || a.order[0].due > now {
		return nil
	}
	c := a.order[0].first
	a.remove(c)
	return c
}

// appointments is a heap, ordered by due.
type appointments []*appointment //nolint:recvcheck // as container/heap wants it

func (o appointments) Len() int           { return len(o) }
func (o appointments) Less(i, j int) bool { return o[i].due < o[j].due }
func (o appointments) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].index, o[j].index = i, j
}

func (o *appointments) Push(x any) {
	p := x.(*appointment) //nolint:forcetypeassert // the heap's only type
	p.index = len(*o)
	*o = append(*o, p)
}

func (o *appointments) Pop() any {
	last := len(*o) - 1
	p := (*o)[last]
	(*o)[last] = nil
	*o = (*o)[:last]
	return p
}
