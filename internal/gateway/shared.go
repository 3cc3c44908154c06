package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fulcrum-data/fulcrum/cache/shared"
	"github.com/fulcrum-data/fulcrum/store"
)

type (
	tier          = shared.Tier[store.Key, []byte]
	sharedWriting = shared.Writing[store.Key, []byte]
)

// Shared is a Redis that gateways in front of the same database have in common.
type Shared struct {
	// Link says which. One Namespace is for one database. Required.
	Link shared.LinkConfig
	// Database tells the database from others: what another one's gateways keep by the same
	// names is not told here. Default empty.
	Database string
}

// String hides the password.
func (s *Shared) String() string {
	if s == nil {
		return "none"
	}
	return "a Redis with namespace " + s.Link.Namespace
}

const (
	// firstReach is how long a start waits for Redis; if it is not there by then, the
	// gateway serves without it until it is.
	firstReach = 500 * time.Millisecond
	// replicaLag is how long after a change a replica may lack it that answers what is kept.
	replicaLag = 10 * time.Second
)

// share has Redis keep what the caches keep in memory. What is kept by one form of a
// resource is nothing to those who serve it in another.
func (g *Gateway) share(ctx context.Context) (err error) {
	if g.cfg.Shared == nil || len(g.caches) == 0 {
		return nil
	}
	if g.link, err = shared.Open(g.cfg.Shared.Link); err != nil {
		return &FieldError{"Shared", err.Error()}
	}
	for _, r := range g.cfg.Resources {
		if kept := g.caches[r.Name]; kept != nil {
			if kept.tier, err = g.tierOf(r, kept.near); err != nil {
				g.unshare()
				return &FieldError{"Shared", err.Error()}
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, firstReach)
	defer cancel()
	if err := g.link.Reach(ctx); err != nil {
		g.cfg.Log.Warn("Redis is away; the gateway serves without it, and keeps nothing in memory until it is there", "error", err)
	}
	return nil
}

func (g *Gateway) tierOf(r store.Resource, n *near) (*tier, error) {
	form, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(append(form, g.cfg.Shared.Database...))
	cfg := shared.Config[store.Key, []byte]{
		Resource: r.Name, Form: hex.EncodeToString(hash[:8]),
		Key:    func(k store.Key) string { return string(k) },
		Parse:  func(text string) (store.Key, bool) { return store.Key(text), true },
		Encode: shared.Bytes, Decode: shared.Bytes,
		TTL: n.Config().TTL, NegativeTTL: n.Config().NegativeTTL,
	}
	if _, ok := g.cfg.copied(); ok {
		cfg.Lag = replicaLag
	}
	t, err := shared.New(g.link, cfg)
	if err != nil {
		return nil, err
	}
	t.Tell(shared.Listener[store.Key]{Forget: n.Forget, Hold: func() (release func()) {
		w := n.BeginAll()
		return func() { w.End(true) }
	}})
	return t, nil
}

func (g *Gateway) unshare() {
	if g.link != nil {
		g.link.Close()
	}
}

// Shared says how things stand with the Redis that gateways share; false if there is none.
func (g *Gateway) Shared() (shared.Health, bool) {
	if g.link == nil {
		return shared.Health{}, false
	}
	return g.link.Health(), true
}

// sharedJSON is what Redis was asked for a resource since the start, in keys.
type sharedJSON struct {
	Hits     uint64  `json:"hits"` // negative ones included
	Negative uint64  `json:"negative_hits"`
	Misses   uint64  `json:"misses"`
	HitRatio float64 `json:"hit_ratio"`
	Closed   uint64  `json:"closed"` // somebody was writing them
	Passed   uint64  `json:"passed"` // Redis was away, or did not answer
	Fills    uint64  `json:"fills"`
	Refused  uint64  `json:"refused_fills"` // a write came between
	Large    uint64  `json:"too_large"`
}

// sharedOf are a tier's figures; nil if there is none.
func sharedOf(t *tier) *sharedJSON {
	if t == nil {
		return nil
	}
	s := t.Stats()
	return &sharedJSON{
		Hits: s.Hits + s.Negative, Negative: s.Negative, Misses: s.Misses, HitRatio: s.HitRatio(), Closed: s.Closed + s.Foreign,
		Passed: s.Passed, Fills: s.Fills, Refused: s.Refused + s.Left, Large: s.Large,
	}
}

// redisJSON is how things stand with Redis.
type redisJSON struct {
	There    bool       `json:"there"`                // it is read from
	Away     *time.Time `json:"away_since,omitempty"` // if it is not
	Trouble  string     `json:"trouble,omitempty"`
	Tracking bool       `json:"tracking"` // others' changes are heard of; if not, nothing is kept in memory
	Losses   uint64     `json:"tracking_losses_total"`
	Heard    uint64     `json:"changes_heard_total"`
	Pending  int        `json:"pending_changes"` // that it was not told of yet
	Errors   uint64     `json:"errors_total"`
}

// redisStats is nil if there is no Redis.
func (g *Gateway) redisStats() *redisJSON {
	h, ok := g.Shared()
	if !ok {
		return nil
	}
	r := &redisJSON{There: h.Away.IsZero(), Tracking: h.Tracking, Losses: h.Losses, Heard: h.Told, Pending: h.Pending, Errors: h.Errors}
	if !r.There {
		r.Away, r.Trouble = &h.Away, fmt.Sprint(h.Trouble)
	}
	return r
}

// The metrics of what gateways share.
var (
	sharedKeysDesc     = describe("shared_cache_keys_total", "Keys that Redis was asked for, by what it had.", "resource", "result")
	sharedFillsDesc    = describe("shared_cache_fills_total", "Rows that Redis was to keep, by what became of them.", "resource", "result")
	sharedUpDesc       = describe("shared_cache_up_ratio", "1 while Redis is read from, 0 while it is away.")
	sharedTrackingDesc = describe("shared_cache_tracking_ratio", "1 while others' changes are heard of; 0 while nothing is kept in memory for want of that.")
	sharedPendingDesc  = describe("shared_cache_pending", "Changes that Redis was not told of yet.")
	sharedErrorsDesc   = describe("shared_cache_errors_total", "Calls of Redis that failed or took too long.")
)

var sharedDescs = []*prometheus.Desc{sharedKeysDesc, sharedFillsDesc, sharedUpDesc, sharedTrackingDesc, sharedPendingDesc, sharedErrorsDesc}

func (g *Gateway) collectShared(out chan<- prometheus.Metric) {
	h, ok := g.Shared()
	if !ok {
		return
	}
	to := sink{out: out}
	to.gauge(sharedUpDesc, oneIf(h.Away.IsZero()))
	to.gauge(sharedTrackingDesc, oneIf(h.Tracking))
	to.gauge(sharedPendingDesc, float64(h.Pending))
	to.count(sharedErrorsDesc, h.Errors)
	for name, kept := range g.caches {
		s, to := kept.tier.Stats(), sink{out, []string{name}}
		to.count(sharedKeysDesc, s.Hits, "hit")
		to.count(sharedKeysDesc, s.Negative, "negative")
		to.count(sharedKeysDesc, s.Misses, "miss")
		to.count(sharedKeysDesc, s.Closed+s.Foreign, "closed")
		to.count(sharedKeysDesc, s.Passed, "passed")
		to.count(sharedFillsDesc, s.Fills, "kept")
		to.count(sharedFillsDesc, s.Refused+s.Left, "refused")
		to.count(sharedFillsDesc, s.Large, "too large")
	}
}
