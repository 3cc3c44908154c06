package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// visits keep what browsers told in a database, so that it outlives a restart.
type visits struct {
	keeper store.Keeper
	writer *writer
	table  store.Writable
	log    func(problem string, err error)

	lost atomic.Uint64 // beacons that could not be written

	mu      sync.Mutex // guards what follows
	waiting []told
	closed  bool
}

// told is a beacon on its way.
type told struct {
	at   time.Time
	view string
	body []byte
}

// What is kept of visits.
const (
	mostKeptVisits = 1_000_000
	forgetEvery    = 10 * time.Minute
	writeEvery     = 100 * time.Millisecond // nobody waits for it, and a commit costs more than a row
	mostWaiting    = 20_000
	visitTime      = 10 * time.Second // for one look at what is kept
	lastVisits     = 2 * time.Second  // to write what was told last
)

// openVisits opens the table of beacons and gives those that are there to whoever asks
// what people feel.
func (g *Gateway) openVisits(ctx context.Context) error {
	if g.cfg.Visits == nil || g.people == nil {
		return nil
	}
	wrong := func(err error) error { return &FieldError{"Visits", "where beacons are kept: " + err.Error()} }
	v := &visits{log: func(problem string, err error) { g.cfg.Log.Error(problem, "error", err) }}
	var ok bool
	if v.keeper, ok = g.cfg.Visits.(store.Keeper); !ok {
		return wrong(errors.New("this database has no tables of ours"))
	}
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	kept, err := v.keeper.Beacons(ctx, g.people.Kept())
	if err != nil {
		return wrong(err)
	}
	table, err := g.cfg.Visits.Open(ctx, store.BeaconTable)
	if err != nil {
		return wrong(err)
	}
	v.table = table.(store.Writable)
	v.writer, err = fulcrum.NewWriter(fulcrum.WriterConfig[store.Change, store.Written]{
		Name: store.BeaconTable.Name, Apply: v.table.Apply, Resolve: v.table.Resolve,
		OrderBy: func(c store.Change) string { return string(c.Key) },
		Merge:   func(_, newer store.Change) (store.Change, bool) { return newer, true }, // it knows more
		Size:    func(c store.Change) int { return len(c.Key) + len(c.Body) },
		Lost:    func(_ store.Change, err error) { v.lose(err) },
		Policy:  fulcrum.Policy{InFlight: 1, Reserved: -1, MaxBatch: 1000},
	})
	if err != nil {
		return err
	}
	for _, b := range kept {
		g.people.Restore([]byte(b.Body))
	}
	g.people.Tell = v.keep
	g.visits = v
	return nil
}

var errVisits = errors.New("gateway: too many wait to be written, or the gateway is ending")

// keep takes a beacon, which is written soon, or counts it as lost. It does not wait: a
// browser that leaves a page has no time.
func (v *visits) keep(view string, body []byte) {
	v.mu.Lock()
	full := v.closed || len(v.waiting) >= mostWaiting
	if !full {
		v.waiting = append(v.waiting, told{time.Now(), view, body})
	}
	v.mu.Unlock()
	if full {
		v.lose(errVisits)
	}
}

// write hands over what waits.
func (v *visits) write(ctx context.Context) {
	v.mu.Lock()
	all := v.waiting
	v.waiting = nil
	v.mu.Unlock()
	changes := make([]store.Change, 0, len(all))
	for _, b := range all {
		c, err := v.change(b)
		if err != nil {
			v.lose(err)
			continue
		}
		changes = append(changes, c)
	}
	if len(changes) == 0 {
		return
	}
	out, _ := v.writer.WriteMany(ctx, changes, fulcrum.InMemory)
	for _, o := range out {
		if o.Err != nil {
			v.lose(o.Err)
		}
	}
}

func (v *visits) change(b told) (store.Change, error) {
	text, err := json.Marshal(store.Beacon{At: b.at.UnixMilli(), Body: string(b.body)})
	if err != nil {
		return store.Change{}, err
	}
	return v.table.ParseChange(store.Change{Op: store.Put, Key: store.JoinKey(b.view), Body: text})
}

// lose counts a beacon that is in memory alone. The first of a thousand is logged.
func (v *visits) lose(err error) {
	if n := v.lost.Add(1); n%1000 == 1 {
		v.log(fmt.Sprintf("what browsers told could not be kept, %d times so far", n), err)
	}
}

// shutdown writes what was told last. A database that cannot take it does not hold up
// the end of the gateway for long.
func (v *visits) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastVisits)
	defer cancel()
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.write(context.WithoutCancel(ctx)) // into memory: it does not wait
	_ = v.writer.Shutdown(ctx)          // what it could not write was told to lose
}

// run writes, and forgets the oldest, until ctx ends.
func (v *visits) run(ctx context.Context) {
	v.forget(ctx)
	soon, seldom := time.NewTicker(writeEvery), time.NewTicker(forgetEvery)
	defer soon.Stop()
	defer seldom.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-soon.C:
			v.write(ctx)
		case <-seldom.C:
			v.forget(ctx)
		}
	}
}

func (v *visits) forget(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	if _, err := v.keeper.ForgetBeacons(limited, mostKeptVisits); err != nil && ctx.Err() == nil {
		v.log("old beacons could not be taken away", err)
	}
}
