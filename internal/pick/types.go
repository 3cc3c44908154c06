package pick

import (
	"fmt"
	"math/bits"
	"time"
)

// Config says how copies are chosen. The zero value of a field is its default.
type Config struct {
	Region    string        // where the reader is: its copies are tried first while nothing is known; default: nowhere
	MaxLag    time.Duration // a replica within it does not lag; default 1 s, at least 1 ms
	MaxBytes  int64         // nor does one within these bytes; default 1 MiB, -1 none
	Share     float64       // of the reads that the primary takes when all replicas lag; default 0.1, at most 1
	Primaries bool          // the primary is a copy like others, not one for when the rest is not good enough
	Seed      uint64        // of chance
}

// Defaults and limits.
const (
	defaultMaxLag   = time.Second
	defaultMaxBytes = 1 << 20
	defaultShare    = 0.1

	// MaxNodes is how many copies there can be.
	MaxNodes = 64
)

func (c Config) withDefaults() (Config, error) {
	if c.MaxLag == 0 {
		c.MaxLag = defaultMaxLag
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.Share == 0 {
		c.Share = defaultShare
	}
	switch {
	case c.MaxLag < time.Millisecond:
		return c, fmt.Errorf("pick: MaxLag: %s is less than 1ms", c.MaxLag)
	case c.MaxBytes < -1:
		return c, fmt.Errorf("pick: MaxBytes: %d is neither -1 (none) nor a number of bytes", c.MaxBytes)
	case !(c.Share > 0 && c.Share <= 1):
		return c, fmt.Errorf("pick: Share: %v is not above 0 and at most 1", c.Share)
	}
	return c, nil
}

// Node is one copy. Its name tells it from the others.
type Node struct {
	Name    string
	Region  string
	Primary bool // it cannot lag
}

// Lag is how far a replica is behind its primary.
type Lag struct {
	Time  time.Duration // at least so old is its newest data; 0 if it has all there is
	Bytes int64         // of the log that it has not applied; -1 unknown
}

// Want is what a read asks of a copy.
type Want struct {
	Fresh     bool          // nothing but the newest: the primary
	After     bool          // it comes behind a write, which the copy must have seen
	Staleness time.Duration // at most so old; 0: as old as may be
	Tried     Set           // copies that are no good for it
	Idle      bool          // only a copy with room, else none: of a hedge
}

// Set is a set of copies by their position.
type Set uint64

// With adds a copy.
func (s Set) With(i int) Set { return s | 1<<i }

// Has says whether a copy is in there.
func (s Set) Has(i int) bool { return s>>i&1 == 1 }

// Len counts.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// Reason says why a copy was chosen.
type Reason uint8

// The reasons.
const (
	Only       Reason = iota // no other may be asked
	Faster                   // the better of two
	Region                   // nothing is known yet, and it is near
	Lagging                  // all replicas lag; it is within twice the limit
	Stale                    // all replicas lag further
	Share                    // all replicas lag: the primary's share
	NoReplica                // no replica may be asked
	TooOld                   // no replica is fresh enough for this read
	Again                    // it was ejected, and is tried again
	numReasons = iota
)

var reasons = [numReasons]string{
	Only: "only", Faster: "faster", Region: "region", Lagging: "lagging", Stale: "stale", Share: "share",
	NoReplica: "no replica", TooOld: "too old", Again: "again",
}

// String is the reason in a word or two.
func (r Reason) String() string { return reasons[r] }

// Choice is the copy for a read, by its position, and why.
type Choice struct {
	Node   int
	Reason Reason
}

// Outcome is what became of a call.
type Outcome uint8

// The outcomes.
const (
	OK      Outcome = iota // it was answered
	Failed                 // by a fault of the copy
	Behind                 // the copy has not seen the write that the read comes behind
	Ignored                // says nothing of the copy
)

// NodeStats is what is known of a copy.
type NodeStats struct {
	Node
	Cost     float64       // as it is weighed: 1 is what the model expects; 0: not measured
	InFlight int           // calls
	Picked   uint64        // calls ever
	Failures uint64        // ever
	Behind   uint64        // calls that found it behind, ever
	Ejected  time.Duration // until when; 0: it is not
	Lag      Lag           // as told last
	LagAge   time.Duration // since when that is
	LagKnown bool
	Level    int // 0: within the limits of lag, 1: within twice, 2: beyond
}
