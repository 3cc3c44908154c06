package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
	"github.com/fulcrum-data/fulcrum/internal/faultproxy"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// slowdown is how many times slower one of the three copies is than it was.
const slowdown = 20

// copied is a primary with two streaming replicas.
type copied struct {
	*pgusers.Server
	replicas [2]*pgtest.Replica
}

// replicaCells slow one of three copies down.
func replicaCells() ([]duel.Cell, func(), error) {
	b, err := pgusers.Start()
	if err != nil {
		return nil, nil, err
	}
	cells, err := replicaDuels(&copied{Server: b})
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	return cells, b.Close, nil
}

func replicaDuels(b *copied) ([]duel.Cell, error) {
	ctx := context.Background()
	for i := range b.replicas {
		r, err := b.AddReplica(ctx, pgtest.ReplicaConfig{Name: fmt.Sprintf("r%d", i+1)})
		if err != nil {
			return nil, err
		}
		if err := r.CatchUp(ctx, b.Server.Server); err != nil {
			return nil, err
		}
		b.replicas[i] = r
	}
	healthy, service, err := b.picking(b.replicas[1].Addr())
	if err != nil {
		return nil, err
	}
	if _, err := p99(healthy, 64)(2 * time.Second); err != nil {
		return nil, err
	}
	delay := time.Duration(slowdown-1) * time.Duration(service.Load())
	proxy, err := faultproxy.New(b.replicas[1].Addr(), faultproxy.Options{Delay: delay})
	if err != nil {
		return nil, err
	}
	b.Closing(func() { _ = proxy.Close() })
	picked, _, err := b.picking(proxy.Addr())
	if err != nil {
		return nil, err
	}
	turns, err := b.inTurns(proxy.Addr())
	if err != nil {
		return nil, err
	}
	var cells []duel.Cell
	for _, callers := range []int{16, 64, 256} {
		none := duel.Cell{Name: fmt.Sprintf("%d callers; theirs: no copy is slow", callers), Gate: 0.5, Ours: p99(picked, callers), Theirs: p99(healthy, callers)}
		inTurn := duel.Cell{Name: fmt.Sprintf("%d callers; theirs: copies in turn", callers), Gate: 3, Ours: p99(picked, callers), Theirs: p99(turns, callers)}
		if callers > 64 { // two cores are saturated, and the wait for them is most of any p99
			inTurn.Gate = 0
		}
		cells = append(cells, none, inTurn)
	}
	return cells, nil
}

// addresses are those of the copies by their names; the last one's is given.
func (b *copied) addresses(last string) map[string]string {
	return map[string]string{"main": b.Addr(), "r1": b.replicas[0].Addr(), "r2": last}
}

// sources are what reads each copy.
func (b *copied) sources(last string) (map[string]fulcrum.ReaderConfig[int64, pgusers.Profile], error) {
	all := map[string]fulcrum.ReaderConfig[int64, pgusers.Profile]{}
	for name, addr := range b.addresses(last) {
		cfg, err := b.source(addr)
		if err != nil {
			return nil, err
		}
		all[name] = cfg
	}
	return all, nil
}

func (b *copied) source(addr string) (cfg fulcrum.ReaderConfig[int64, pgusers.Profile], err error) {
	db, err := postgres.Open(context.Background(), postgres.Config{DSN: b.DSNVia(addr), MinConns: 10, MaxConns: 10})
	if err != nil {
		return cfg, err
	}
	b.Closing(func() { _ = db.Close() })
	return postgres.ReaderConfig(context.Background(), db, postgres.Query[int64, pgusers.Profile]{
		Table: "users", Key: []string{"id"}, Columns: []string{"id", "name", "email", "bio", "updated_at"},
		Scan: func(row pgx.CollectableRow) (p pgusers.Profile, err error) {
			err = row.Scan(&p.ID, &p.Name, &p.Email, &p.Bio, &p.UpdatedAt)
			return p, err
		},
	})
}

// picking is a Reader that chooses among the copies; service is how long a query takes, in
// ns.
func (b *copied) picking(last string) (_ *fulcrum.Reader[int64, pgusers.Profile], service *atomic.Int64, err error) {
	sources, err := b.sources(last)
	if err != nil {
		return nil, nil, err
	}
	backend, err := fulcrum.NewBackend(fulcrum.BackendConfig{
		Copies:      []fulcrum.Copy{{Name: "main", Primary: true}, {Name: "r1"}, {Name: "r2"}},
		Choice:      fulcrum.Choice{ReadPrimary: true},
		MaxInFlight: 8,
	})
	if err != nil {
		return nil, nil, err
	}
	service = &atomic.Int64{}
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, pgusers.Profile]{
		Backend: backend,
		Fetch: func(ctx context.Context, keys *fulcrum.Batch[int64, pgusers.Profile]) error {
			return sources[fulcrum.CopyFrom(ctx)].Fetch(ctx, keys)
		},
		Hooks: &fulcrum.Hooks{OnBatch: func(i fulcrum.BatchInfo) {
			was := service.Load()
			service.Store(was + (int64(i.Service)-was)/64)
		}},
	})
	if err == nil {
		b.Closing(func() { _ = r.Shutdown(context.Background()) })
	}
	return r, service, err
}

// inTurns is a Reader that asks one copy after the other.
func (b *copied) inTurns(last string) (*fulcrum.Reader[int64, pgusers.Profile], error) {
	sources, err := b.sources(last)
	if err != nil {
		return nil, err
	}
	backend, err := fulcrum.NewBackend(fulcrum.BackendConfig{MaxInFlight: 24})
	if err != nil {
		return nil, err
	}
	var next atomic.Uint64
	names := []string{"main", "r1", "r2"}
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int64, pgusers.Profile]{
		Backend: backend,
		Fetch: func(ctx context.Context, keys *fulcrum.Batch[int64, pgusers.Profile]) error {
			return sources[names[next.Add(1)%uint64(len(names))]].Fetch(ctx, keys)
		},
	})
	if err == nil {
		b.Closing(func() { _ = r.Shutdown(context.Background()) })
	}
	return r, err
}

// p99 is a closed loop of single reads, which gives one over the response time that 99 of
// 100 of them keep, in 1/s: more is better, as for the rates of other suites.
func p99(r *fulcrum.Reader[int64, pgusers.Profile], callers int) func(time.Duration) (float64, error) {
	return func(d time.Duration) (float64, error) {
		var all []time.Duration
		own := make([][]time.Duration, callers)
		_, err := duel.Load{Callers: callers, Op: func(caller, _ int) error {
			began, id := time.Now(), pgusers.RandomID()
			p, err := r.Get(context.Background(), id)
			own[caller] = append(own[caller], time.Since(began))
			return pgusers.MustBe(p, id, err)
		}}.Run(d)
		for _, o := range own {
			all = append(all, o...)
		}
		if err != nil {
			return 0, err
		}
		if len(all) < 1000 {
			return 0, fmt.Errorf("%d reads are too few for a 99th percentile", len(all))
		}
		slices.Sort(all)
		return 1 / all[len(all)*99/100].Seconds(), nil
	}
}
