package fulcrum_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// op is one change of the model's table: put, add to what is there, delete, or put if
// the version is the one named.
type op struct {
	kind    string
	key     string
	add     int
	version int
	by, nth int // whose, and which of the caller's writes of this key
	parts   []op
}

type row struct{ value, version int }

// model is a database with one row for each key, and the model too: what it says is what
// some serial order says.
type model map[string]row

var errWrongVersion = errors.New("wrong version")

func (t model) do(o op) (row, error) {
	r, there := t[o.key]
	switch o.kind {
	case "put":
		r = row{o.add, r.version + 1}
	case "add":
		if !there {
			return row{}, errors.New("not there")
		}
		r = row{r.value + o.add, r.version + 1}
	case "delete":
		delete(t, o.key)
		return row{}, nil
	case "if":
		if r.version != o.version {
			return row{}, errWrongVersion
		}
		r = row{o.add, r.version + 1}
	}
	t[o.key] = r
	return r, nil
}

// history is a sink that keeps what it did, in order.
type history struct {
	mu    sync.Mutex
	rows  model
	done  []op
	said  []error
	moody *rand.Rand
}

func (h *history) apply(ctx context.Context, c *fulcrum.Commit[op, row]) error {
	h.mu.Lock()
	took, mood := time.Duration(h.moody.IntN(3000))*time.Microsecond, h.moody.IntN(30)
	h.mu.Unlock()
	if err := pause(ctx, took); err != nil {
		return err
	}
	if mood == 0 {
		return errUnlucky // nothing was made
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, o := range c.Items() {
		r, err := h.rows.do(o)
		h.done, h.said = append(h.done, o), append(h.said, err)
		if err != nil {
			c.Fail(i, err)
			continue
		}
		c.Set(i, r)
	}
	if mood == 1 {
		return fmt.Errorf("cut: %w", fulcrum.ErrAmbiguous) // all of it was made
	}
	return nil
}

// mergePuts makes one of two unconditional puts, as the documentation of merging advises.
func mergePuts(older, newer op) (op, bool) {
	if older.kind != "put" || newer.kind != "put" {
		return op{}, false
	}
	parts := append(append([]op(nil), older.parts...), newer)
	if len(older.parts) == 0 {
		parts = []op{older, newer}
	}
	merged := newer
	merged.parts = parts
	return merged, true
}

// 32 callers put, add, delete and put on condition, at random, with commits that fail,
// answers that are lost and callers who leave. Whatever was made comes in each caller's
// order, once, with the outcome that the caller was told; what the caller was told was not
// made was not.
func TestWritesEndAsASerialOrderWould(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { serialOrder(t, seed) })
		})
	}
}

type told struct {
	op  op
	row row
	err error
}

func serialOrder(t *testing.T, seed uint64) {
	h := &history{rows: model{}, moody: rand.New(rand.NewPCG(seed, 0))}
	w, err := fulcrum.NewWriter(fulcrum.WriterConfig[op, row]{
		Apply: h.apply, OrderBy: func(o op) string { return o.key }, Merge: mergePuts,
		Policy: fulcrum.Policy{InFlight: 3, Reserved: 1, MaxBatch: 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []told
	together(32, func(i int) {
		random := rand.New(rand.NewPCG(seed, uint64(i)+1))
		nth := make(map[string]int)
		for range 40 {
			o := op{kind: []string{"put", "put", "add", "delete", "if"}[random.IntN(5)], key: fmt.Sprint(random.IntN(6)), add: random.IntN(1000), version: random.IntN(9), by: i}
			nth[o.key]++
			o.nth = nth[o.key]
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if random.IntN(5) == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(5000))*time.Microsecond)
			}
			class := []fulcrum.Option{fulcrum.Normal, fulcrum.Normal, fulcrum.Bulk, fulcrum.Urgent}[random.IntN(4)]
			r, err := w.Write(ctx, o, class)
			cancel()
			mu.Lock()
			all = append(all, told{o, r.Result, err})
			mu.Unlock()
		}
	})
	if err := w.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	explains(t, h, all)
}

type who struct {
	key     string
	by, nth int
}

// explains looks whether what was done explains what was told.
func explains(t *testing.T, h *history, all []told) {
	t.Helper()
	outcome := make(map[who]error)
	last := make(map[who]int)
	replay := model{}
	for i, o := range h.done {
		if _, err := replay.do(o); (err == nil) != (h.said[i] == nil) {
			t.Fatalf("replayed, %+v says %v instead of %v", o, err, h.said[i])
		}
		parts := o.parts
		if len(parts) == 0 {
			parts = []op{o}
		}
		for _, p := range parts {
			id := who{p.key, p.by, p.nth}
			if _, twice := outcome[id]; twice {
				t.Fatalf("%+v was made twice", id)
			}
			outcome[id] = h.said[i]
			if caller := (who{p.key, p.by, 0}); last[caller] >= p.nth {
				t.Fatalf("%+v comes after number %d", id, last[caller])
			} else {
				last[caller] = p.nth
			}
		}
	}
	for _, a := range all {
		said, made := outcome[who{a.op.key, a.op.by, a.op.nth}]
		switch {
		case errors.Is(a.err, fulcrum.ErrAmbiguous): // either is true
		case a.err == nil && (!made || said != nil):
			t.Errorf("%+v was acknowledged: made %t, %v", a.op, made, said)
		case a.err != nil && made && said == nil:
			t.Errorf("%+v was made, and its caller told %v", a.op, a.err)
		}
	}
	if len(replay) != len(h.rows) {
		t.Errorf("%d rows, replayed %d", len(h.rows), len(replay))
	}
	for k, r := range h.rows {
		if replay[k] != r {
			t.Errorf("row %s is %+v, replayed %+v", k, r, replay[k])
		}
	}
}
