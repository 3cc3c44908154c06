package shared

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// LinkConfig says which Redis, and how much patience there is with it.
type LinkConfig struct {
	// URL is where Redis is: redis://user:password@host:6379/0, rediss:// with TLS, or
	// unix:///path. One server, or one name behind which another takes over: no cluster.
	// Required.
	URL string
	// Namespace keeps apart what shares one Redis: programs with one Namespace tell each
	// other's values. Letters, digits, - and _. Default "fulcrum".
	Namespace string
	// Timeout is how long a read or a write waits for Redis at most. Default 50 ms, 1 ms to
	// 10 s.
	Timeout time.Duration
	// Settle is how long nothing is read from a Redis that was away and is back, so that
	// others who could not reach it either have told it of their writes. Default 1 s, at
	// most 1 min; the same everywhere.
	Settle time.Duration
	// Heartbeat is how long an answer may take on the connection that tells of others'
	// writes before it is held for lost; it is asked twice in that time. What a near tier
	// tells is behind what Redis knows by at most 3 of them. Default 400 ms, 10 ms to 1 min.
	Heartbeat time.Duration
	// Pending is how many written keys are remembered while Redis cannot be told of them. If
	// there are more, all of their resources is forgotten. Default 10,000.
	Pending int
}

const (
	defaultTimeout   = 50 * time.Millisecond
	defaultSettle    = time.Second
	defaultHeartbeat = 400 * time.Millisecond
	defaultPending   = 10_000
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Validate says what is wrong, as Open would.
func (c LinkConfig) Validate() error {
	c = c.withDefaults()
	if c.URL == "" {
		return errors.New("shared: LinkConfig.URL is missing, such as redis://127.0.0.1:6379")
	}
	if _, err := c.option(); err != nil {
		return err
	}
	if !nameForm.MatchString(c.Namespace) {
		return fmt.Errorf("shared: LinkConfig.Namespace: %q is not made of letters, digits, - and _", c.Namespace)
	}
	if c.Pending < 0 {
		return fmt.Errorf("shared: LinkConfig.Pending: %d is negative", c.Pending)
	}
	for _, f := range []struct {
		name            string
		value, low, top time.Duration
	}{
		{"Timeout", c.Timeout, time.Millisecond, 10 * time.Second},
		{"Settle", c.Settle, time.Millisecond, time.Minute},
		{"Heartbeat", c.Heartbeat, 10 * time.Millisecond, time.Minute},
	} {
		if f.value < f.low || f.value > f.top {
			return fmt.Errorf("shared: LinkConfig.%s: %s is not between %s and %s", f.name, f.value, f.low, f.top)
		}
	}
	return nil
}

func (c LinkConfig) withDefaults() LinkConfig {
	c.Namespace = cmp.Or(c.Namespace, "fulcrum")
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.Settle = cmp.Or(c.Settle, defaultSettle)
	c.Heartbeat = cmp.Or(c.Heartbeat, defaultHeartbeat)
	c.Pending = cmp.Or(c.Pending, defaultPending)
	return c
}

// option is what both connections have in common. A URL's text is in no error: it may hold
// a password.
func (c LinkConfig) option() (rueidis.ClientOption, error) {
	o, err := rueidis.ParseURL(c.URL)
	scheme, _, _ := strings.Cut(c.URL, "://")
	switch {
	case scheme != "redis" && scheme != "rediss" && scheme != "unix":
		return o, errors.New("shared: LinkConfig.URL does not begin with redis://, rediss:// or unix://")
	case err != nil:
		return o, errors.New("shared: LinkConfig.URL cannot be read: it is like redis://user:password@host:6379/0")
	}
	o.ForceSingleClient, o.DisableRetry, o.AlwaysPipelining, o.PipelineMultiplex = true, true, true, -1
	o.Dialer = net.Dialer{Timeout: max(time.Second, c.Timeout), KeepAlive: time.Second}
	o.ConnWriteTimeout = max(3*time.Second, 3*c.Timeout)
	return o, nil
}

// Config says what a Tier keeps.
type Config[K comparable, V any] struct {
	// Resource is whose values these are: Tiers of one Resource and Namespace share them.
	// Letters, digits, - and _. Required.
	Resource string
	// Form says what the values are like: what was kept by a Tier with another Form is not
	// told, and yet forgotten when it is written. Default empty.
	Form string
	// Key is a key as text, another for each key. Required.
	Key func(K) string
	// Parse is the key that Key made a text of. Required.
	Parse func(string) (K, bool)
	// Encode makes bytes of a value. A value of which it makes an error is not kept. Required.
	Encode func(V) ([]byte, error)
	// Decode makes a value of bytes, which it may keep. Where it makes an error the database is
	// asked. Required.
	Decode func([]byte) (V, error)

	// TTL is the age up to which a value is told. The one that holds is up to a tenth
	// shorter. Default 60 s, at most 24 h.
	TTL time.Duration
	// NegativeTTL is the TTL of keys that were not found. Default 10 s but at most TTL, -1
	// keeps none.
	NegativeTTL time.Duration
	// MaxValue is how many bytes a value may have: larger ones are not kept. Default 1 MiB.
	MaxValue int
	// Lag is how long after a write nothing is kept of its key, because what is read may
	// come from a replica that does not have it yet. Default 0: there are no replicas.
	Lag time.Duration
	// WriteTime is how long a write may take. A key whose writer died is kept again after
	// that. Default 10 s, at most 10 min.
	WriteTime time.Duration
}

const (
	defaultTTL       = time.Minute
	defaultNegative  = 10 * time.Second
	defaultMaxValue  = 1 << 20
	defaultWriteTime = 10 * time.Second
)

// Validate says what is wrong, as New would.
func (c Config[K, V]) Validate() error {
	c = c.withDefaults()
	if !nameForm.MatchString(c.Resource) {
		return fmt.Errorf("shared: Config.Resource: %q is not made of letters, digits, - and _", c.Resource)
	}
	if c.Key == nil || c.Parse == nil || c.Encode == nil || c.Decode == nil {
		return errors.New("shared: Config.Key, Parse, Encode and Decode are all needed")
	}
	if c.MaxValue < 0 {
		return fmt.Errorf("shared: Config.MaxValue: %d is negative", c.MaxValue)
	}
	for _, f := range []struct {
		name            string
		value, low, top time.Duration
	}{
		{"TTL", c.TTL, time.Millisecond, 24 * time.Hour},
		{"NegativeTTL", max(0, c.NegativeTTL), 0, c.TTL},
		{"Lag", c.Lag, 0, 10 * time.Minute},
		{"WriteTime", c.WriteTime, time.Millisecond, 10 * time.Minute},
	} {
		if f.value < f.low || f.value > f.top {
			return fmt.Errorf("shared: Config.%s: %s is not between %s and %s", f.name, f.value, f.low, f.top)
		}
	}
	return nil
}

func (c Config[K, V]) withDefaults() Config[K, V] {
	c.TTL = cmp.Or(c.TTL, defaultTTL)
	c.NegativeTTL = cmp.Or(c.NegativeTTL, min(defaultNegative, c.TTL))
	c.MaxValue = cmp.Or(c.MaxValue, defaultMaxValue)
	c.WriteTime = cmp.Or(c.WriteTime, defaultWriteTime)
	return c
}

// Bytes is the codec of values that are bytes.
func Bytes(b []byte) ([]byte, error) { return b, nil }
