package dispatch

// scope is what is queued for one tenant: never mixed with another's.
type scope[K comparable, P any] struct {
	name   string
	index  map[K]*Item[K, P] // queued keys, for joining
	most   int               // that the index has held since it was last cleared
	queues [Lanes]fifo[K, P]
	turn   [Lanes]neighbours[K, P]
}

// neighbours are the scopes before and after one in a lane's turn; both are nil for
// a scope that is not in it.
type neighbours[K comparable, P any] struct{ before, after *scope[K, P] }

// queued is how many keys the scope has in all lanes.
func (s *scope[K, P]) queued() int {
	return s.queues[Urgent].n + s.queues[Normal].n + s.queues[Bulk].n
}

// unindex takes the first n keys of a queue out of the index. Clearing it whole is
// cheaper where all leave, as they mostly do, unless it was once far larger.
func (s *scope[K, P]) unindex(q *fifo[K, P], n int) {
	if n == len(s.index) && 4*n >= s.most {
		clear(s.index)
		s.most = 0
		return
	}
	for it := q.head; it != nil && n > 0; it, n = it.next, n-1 {
		delete(s.index, it.Key)
	}
}

// lane holds the scopes that have work of one class, in turn.
type lane[K comparable, P any] struct {
	class    Class
	next     *scope[K, P] // whose turn it is; the others follow in a ring. Nil: none
	scopes   int          // in that ring
	n        int          // keys queued
	overload overload
}

// join puts a scope at the end of the turn, unless it has its place already.
func (l *lane[K, P]) join(s *scope[K, P]) {
	place := &s.turn[l.class]
	if place.after != nil {
		return
	}
	l.scopes++
	if l.next == nil {
		place.before, place.after = s, s
		l.next = s
		return
	}
	last := l.next.turn[l.class].before
	place.before, place.after = last, l.next
	last.turn[l.class].after = s
	l.next.turn[l.class].before = s
}

// leave takes a scope out of the turn.
func (l *lane[K, P]) leave(s *scope[K, P]) {
	place := s.turn[l.class]
	s.turn[l.class] = neighbours[K, P]{}
	l.scopes--
	if place.after == s {
		l.next = nil
		return
	}
	place.before.turn[l.class].after = place.after
	place.after.turn[l.class].before = place.before
	if l.next == s {
		l.next = place.after
	}
}

// rotate moves the scope that was just served to the end of the turn, if it still
// has work.
func (l *lane[K, P]) rotate(s *scope[K, P]) {
	if l.next == s {
		l.next = s.turn[l.class].after
	}
}

// scopeOf finds or makes the place of a scope.
func (d *Dispatcher[K, P]) scopeOf(name string) *scope[K, P] {
	if s := d.last; s != nil && s.name == name {
		return s
	}
	s := d.scopes[name]
	if s == nil {
		s = d.newScope(name)
		d.scopes[name] = s
	}
	d.last = s
	return s
}

func (d *Dispatcher[K, P]) newScope(name string) *scope[K, P] {
	if n := len(d.idleScopes); n > 0 {
		s := d.idleScopes[n-1]
		d.idleScopes = d.idleScopes[:n-1]
		s.name = name
		return s
	}
	return &scope[K, P]{name: name, index: make(map[K]*Item[K, P])}
}

// maxIdle bounds how many empty scopes and spare items are kept for reuse.
const maxIdle = 1024

// forget lets go of a scope that has nothing queued, so that a million tenants
// seen once cost nothing. The unnamed scope stays.
func (d *Dispatcher[K, P]) forget(s *scope[K, P]) {
	if s.name == "" || s.queued() > 0 || d.scopes[s.name] != s {
		return
	}
	delete(d.scopes, s.name)
	if d.last == s {
		d.last = nil
	}
	if len(d.idleScopes) < maxIdle {
		d.idleScopes = append(d.idleScopes, s)
	}
}

// enqueue puts an item at the end of its scope's queue and of the turn.
func (d *Dispatcher[K, P]) enqueue(it *Item[K, P], class Class) {
	l := &d.lanes[class]
	it.class = class
	it.scope.queues[class].push(it)
	l.n++
	l.join(it.scope)
}

// unqueue takes an item out of its lane, wherever it stands.
func (d *Dispatcher[K, P]) unqueue(it *Item[K, P]) {
	s, l := it.scope, &d.lanes[it.class]
	s.queues[it.class].remove(it)
	l.n--
	if s.queues[it.class].n == 0 {
		l.leave(s)
	}
}
