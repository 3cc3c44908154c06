package fulcrum

import "time"

// Hooks tell what happens as it happens. Every field is optional. They run on the
// goroutine that does the work, outside all locks, and should return quickly.
type Hooks struct {
	OnBatch func(BatchInfo) // a batch is done
	OnShed  func(ShedInfo)  // a request was refused
}

// BatchInfo describes a batch that is done.
type BatchInfo struct {
	Reader  string        // ReaderConfig.Name
	Scope   string        // whose batch it was
	Class   Class         // of all its requests
	Reason  string        // why it left: idle, urgent, slot, full, held, deadline, flush or close
	Keys    int           // in the call to the backend
	Callers int           // that waited for them when it left
	Calls   int           // to the backend: more than one if guilty keys were looked for
	Queued  time.Duration // how long its oldest request had waited
	Service time.Duration // how long the backend took
	Err     error         // of all keys together, nil if there was none
}

// ShedInfo describes a refused request.
type ShedInfo struct {
	Reader string // ReaderConfig.Name
	Class  Class
	Reason string // queue_full, too_many_waiters, deadline_unreachable, expired or closed
}
