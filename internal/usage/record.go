package usage

import "time"

// Record is one request. Its byte slices are only read during [Analyzer.Add].
type Record struct {
	// Time is when it came, in nanoseconds since 1970; [NoTime] if that is not known.
	Time int64
	// Took is how long it took; negative if that is not known.
	Took time.Duration
	// Status is that of HTTP; 0 if there is none.
	Status int
	// Aborted says that the caller left before the answer.
	Aborted bool
	// Times is how many requests the record stands for; 0 means 1.
	Times int

	Client []byte // address or name; empty if not known
	Path   []byte // path and query, or whatever was asked for
	Agent  []byte // the client's program; empty if not known
}

// NoTime is the time of a record that has none.
const NoTime = -1 << 63

// left says whether the caller went away before the answer.
func (r *Record) left() bool { return r.Aborted || r.Status == 499 }

// failed says whether the service could not answer.
func (r *Record) failed() bool { return r.Status >= 500 }
