package cache

import (
	"fmt"
	"time"
)

// Config says how much a Near keeps, and for how long.
type Config[K comparable, V any] struct {
	// Entries is the most it keeps. This or Bytes is required, and not both.
	Entries int
	// Bytes is the most it keeps by the measure of Size. Each entry counts EntryBytes more.
	Bytes int
	// Size is how many bytes a key with its value takes. Required with Bytes.
	Size func(key K, value V) int

	// TTL is the age up to which an entry is told without asking. The one that holds is up
	// to a tenth shorter, each time another, so that what came together does not go
	// together. Default 60 s, at most 24 h.
	TTL time.Duration
	// NegativeTTL is the TTL of keys that were not found. Default 10 s but at most TTL, -1
	// keeps none.
	NegativeTTL time.Duration
	// StaleWhileRevalidate is how much longer an entry is told while one caller has it
	// read anew: nobody waits, and everybody gets what is up to TTL + this old. Default 0: none.
	StaleWhileRevalidate time.Duration
	// StaleIfDegraded is how much longer than TTL an entry is told while the backend's
	// circuit is open. Default 0: none.
	StaleIfDegraded time.Duration
}

// EntryBytes is what an entry takes beside its key and value, about.
const EntryBytes = 200

const (
	defaultTTL      = time.Minute
	defaultNegative = 10 * time.Second
	mostTTL         = 24 * time.Hour
	mostEntries     = 1 << 30
)

// Validate says what is wrong, as New would.
func (c Config[K, V]) Validate() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults checks the configuration and fills in what is missing.
func (c Config[K, V]) withDefaults() (Config[K, V], error) {
	switch {
	case c.Entries == 0 && c.Bytes == 0:
		return c, fmt.Errorf("cache: Config.Entries or Bytes is missing: say how much it may keep")
	case c.Entries != 0 && c.Bytes != 0:
		return c, fmt.Errorf("cache: Config.Entries and Bytes are both set: say one of them")
	case c.Bytes != 0 && c.Size == nil:
		return c, fmt.Errorf("cache: Config.Bytes needs Size, which says how many bytes a value takes")
	case c.Entries < 0 || c.Entries > mostEntries:
		return c, fmt.Errorf("cache: Config.Entries: %d is not between 1 and %d", c.Entries, mostEntries)
	case c.Bytes < 0:
		return c, fmt.Errorf("cache: Config.Bytes: %d is negative", c.Bytes)
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	if c.NegativeTTL == 0 {
		c.NegativeTTL = min(defaultNegative, c.TTL)
	}
	for _, f := range []struct {
		name            string
		value, low, top time.Duration
	}{
		{"TTL", c.TTL, time.Millisecond, mostTTL},
		{"NegativeTTL", max(0, c.NegativeTTL), 0, c.TTL},
		{"StaleWhileRevalidate", c.StaleWhileRevalidate, 0, mostTTL},
		{"StaleIfDegraded", c.StaleIfDegraded, 0, mostTTL},
	} {
		if f.value < f.low || f.value > f.top {
			return c, fmt.Errorf("cache: Config.%s: %s is not between %s and %s", f.name, f.value, f.low, f.top)
		}
	}
	if c.NegativeTTL < -1 {
		return c, fmt.Errorf("cache: Config.NegativeTTL: %s is negative; -1 keeps no keys that were not found", c.NegativeTTL)
	}
	return c, nil
}
