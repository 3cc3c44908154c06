package fulcrum

import (
	"context"
	"slices"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/dispatch"
)

// Class says how a request wants to be served.
type Class uint8

// The classes. The zero value is Normal.
const (
	ClassNormal Class = iota // shares its query with whoever is there
	ClassUrgent              // takes a reserved slot and goes alone while there is one
	ClassBulk                // shares behind normal work and is shed first
)

// lanes maps a class to its lane.
var lanes = [...]dispatch.Class{ClassNormal: dispatch.Normal, ClassUrgent: dispatch.Urgent, ClassBulk: dispatch.Bulk}

// classes maps a lane to its class.
var classes = [...]Class{dispatch.Urgent: ClassUrgent, dispatch.Normal: ClassNormal, dispatch.Bulk: ClassBulk}

// String names the class: "urgent", "normal" or "bulk".
func (c Class) String() string {
	if int(c) < len(lanes) {
		return lanes[c].String()
	}
	return "unknown"
}

// Option shapes one request. It is a small value: passing it allocates nothing.
// Options given to the call win over those of the context.
type Option struct {
	class   Class
	set     bool
	patient bool
	trace   *Trace
	durable bool // durability is set
	fresh   bool
	maxAge  time.Duration
	after   []Token

	durability Durability
}

// Durability says when a write is answered.
type Durability uint8

// The durabilities. The zero value is DurabilityCommitted.
const (
	DurabilityCommitted Durability = iota // once it is committed
	DurabilityJournaled                   // once the Writer's journal has it: it is made soon, whatever happens to the process
	DurabilityMemory                      // at once: it is made soon, and lost if the process dies before
)

// String names the durability: "committed", "journaled" or "memory".
func (d Durability) String() string {
	switch d {
	case DurabilityJournaled:
		return "journaled"
	case DurabilityMemory:
		return "memory"
	}
	return "committed"
}

// The options that choose when a write is answered.
var (
	Committed = Option{durability: DurabilityCommitted, durable: true}
	Journaled = Option{durability: DurabilityJournaled, durable: true}
	InMemory  = Option{durability: DurabilityMemory, durable: true}
)

// The options that choose a class.
var (
	Normal = Option{class: ClassNormal, set: true}
	Urgent = Option{class: ClassUrgent, set: true}
	Bulk   = Option{class: ClassBulk, set: true}
)

// Patient says that the caller has nothing better to do than to wait: a query that
// runs for its request alone may run on the caller's own goroutine even if its
// context can be cancelled. That spares waking another one, ten microseconds and
// more on an idle machine. Such a Get returns with the query and not before, so it
// is for a One that always returns by its context's deadline.
var Patient = Option{patient: true}

// After has a request see the writes that gave these tokens, and all that came before
// them: it goes past the Reader's cache, and to a copy of the backend that has seen them.
// Empty tokens, which writes without a place in time give, ask for nothing.
func After(tokens ...Token) Option {
	return Option{after: slices.DeleteFunc(slices.Clone(tokens), func(t Token) bool { return t == "" })}
}

// Fresh has a request go past the Reader's cache, and to the primary if the backend has
// copies. What the backend says is kept in the cache.
var Fresh = Option{fresh: true}

// MaxStaleness has a request take from the Reader's cache only what is at most that old,
// and ask only copies of the backend of which it is known that they lag no more. Zero and
// less is Fresh.
func MaxStaleness(d time.Duration) Option { return Option{maxAge: max(0, d), fresh: d <= 0} }

// Traced has a Get tell in t how it was served. Each Get wants a Trace of its own;
// GetMany fills none.
func Traced(t *Trace) Option { return Option{trace: t} }

// request is what a call's options and context say together.
type request struct {
	class   Class
	patient bool
	fresh   bool
	maxAge  time.Duration // 0: whatever the cache allows
	after   []Token
	primary bool          // for a cache: what it keeps was written lately
	lag     time.Duration // for a cache: what it keeps may lag so much; 0: any
	copy    string        // of a call to the backend: who is asked
	past    bool          // of a call to the backend: it goes past caches
	scope   string
	trace   *Trace

	durability Durability
}

func (r *request) apply(opts []Option) {
	for _, o := range opts {
		if o.set {
			r.class = o.class
		}
		if o.trace != nil {
			r.trace = o.trace
		}
		if o.durable {
			r.durability = o.durability
		}
		if o.maxAge != 0 {
			r.maxAge = o.maxAge
		}
		if len(o.after) > 0 {
			r.after = append(r.after[:len(r.after):len(r.after)], o.after...)
		}
		r.patient = r.patient || o.patient
		r.fresh = r.fresh || o.fresh
	}
}

type requestKey struct{}

// WithOptions gives every request made with the context these options.
func WithOptions(ctx context.Context, opts ...Option) context.Context {
	r := requestFrom(ctx)
	r.apply(opts)
	return context.WithValue(ctx, requestKey{}, r)
}

// WithScope names the tenant for every request made with the context. Requests of
// different scopes never share a batch. The default is the empty scope.
func WithScope(ctx context.Context, scope string) context.Context {
	r := requestFrom(ctx)
	r.scope = scope
	return context.WithValue(ctx, requestKey{}, r)
}

// Trace tells how one Get was served. It is filled when the Get was answered, and
// left alone when it was refused or its caller left.
type Trace struct {
	Class   Class         // whose batch it was in
	Reason  string        // why that batch left, as in BatchInfo.Reason
	Keys    int           // in that batch
	Queued  time.Duration // from admission to leaving
	Service time.Duration // how long the backend took for the batch

	Cached bool          // it was answered from the cache: Reason is "cache", and no batch is told of
	Stale  bool          // older than the cache's time to live
	Age    time.Duration // of what was cached
}

// ScopeFrom is the scope that WithScope put into the context, empty if none. It
// works in Fetch and One too.
func ScopeFrom(ctx context.Context) string { return requestFrom(ctx).scope }

func requestFrom(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

// PastFrom says that a call of Fetch or One is for somebody whom no cache may answer: one of
// its callers is urgent, or asked with Fresh, After or MaxStaleness.
func PastFrom(ctx context.Context) bool { return requestFrom(ctx).past }

// lesser is the stricter of two bounds, of which 0 is none.
func lesser(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
