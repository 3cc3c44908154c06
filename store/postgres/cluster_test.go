package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/faultproxy"
	"github.com/fulcrum-data/fulcrum/internal/pgtest"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// cluster is a primary with two streaming replicas, each behind a proxy, and what reads
// and writes there.
type cluster struct {
	t        *testing.T
	primary  *pgtest.Server
	replicas map[string]*pgtest.Replica
	proxies  map[string]*faultproxy.Proxy
	db       *postgres.DB
	backend  *fulcrum.Backend
	reader   *fulcrum.Reader[store.Key, []byte]
	writer   *fulcrum.Writer[store.Change, store.Written]

	byReplicas, byPrimary atomic.Int64 // reads that were answered
}

// clusterConfig says what is not as usual.
type clusterConfig struct {
	confirms string // the replica that confirms each commit; empty: none does
	failover bool   // the primary is whichever of all servers takes writes
	choice   fulcrum.Choice
	blind    bool
}

const clusterRows = 2000

func startCluster(t *testing.T, cfg clusterConfig) *cluster {
	t.Helper()
	ctx := t.Context()
	c := &cluster{t: t, replicas: map[string]*pgtest.Replica{}, proxies: map[string]*faultproxy.Proxy{}}
	c.primary = pgtest.Start(t, pgtest.Databases("test"), pgtest.MaxConnections(100), pgtest.Setting("hot_standby_feedback", "on"))
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(c.primary.Exec(ctx, fmt.Sprintf(`create table accounts (id int primary key, version bigint not null);
		insert into accounts select i, 0 from generate_series(1, %d) as i`, clusterRows)))
	conf := postgres.Config{DSN: c.primary.DSN(), MinConns: 2, MaxConns: 20, Tokens: true}
	addresses := []string{c.primary.Addr()}
	for _, name := range []string{"a", "b"} {
		r, err := c.primary.AddReplica(ctx, pgtest.ReplicaConfig{Name: name})
		check(err)
		check(r.CatchUp(ctx, c.primary))
		p, err := faultproxy.New(r.Addr(), faultproxy.Options{})
		check(err)
		t.Cleanup(func() { _ = p.Close() })
		c.replicas[name], c.proxies[name] = r, p
		conf.Replicas = append(conf.Replicas, postgres.Replica{Name: name, DSN: strings.Replace(r.DSN(), r.Addr(), p.Addr(), 1)})
		addresses = append(addresses, r.Addr())
	}
	if cfg.confirms != "" {
		check(c.primary.Exec(ctx, "alter system set synchronous_standby_names = "+cfg.confirms))
		check(c.primary.Exec(ctx, "select pg_reload_conf()"))
	}
	if cfg.failover {
		conf.DSN = whicheverWrites(t, c.primary.DSN(), addresses)
	}
	c.db = open(t, conf)
	if cfg.blind {
		c.db.Blind()
	}
	c.serve(cfg.choice)
	return c
}

// whicheverWrites names all servers, of which the one is asked that takes writes.
func whicheverWrites(t *testing.T, dsn string, addresses []string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = strings.Join(addresses, ",")
	q := u.Query()
	q.Set("target_session_attrs", "read-write")
	q.Set("connect_timeout", "2")
	u.RawQuery = q.Encode()
	return u.String()
}

// serve makes what reads and writes.
func (c *cluster) serve(choice fulcrum.Choice) {
	c.t.Helper()
	table := openTable(c.t, c.db, store.Resource{
		Name: "accounts", Table: "accounts", Key: []string{"id"}, Columns: []string{"id", "version"}, Writable: true,
	}).(store.Writable)
	choice.Vet = c.db.Vet
	var err error
	c.backend, err = fulcrum.NewBackend(fulcrum.BackendConfig{Copies: c.db.Copies(), Choice: choice, MaxInFlight: 8})
	if err != nil {
		c.t.Fatal(err)
	}
	c.reader, err = fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{
		Backend: c.backend,
		Fetch: func(ctx context.Context, b *fulcrum.Batch[store.Key, []byte]) error {
			return c.count(ctx, b.Len(), table.Fetch(ctx, b))
		},
		One: func(ctx context.Context, key store.Key) ([]byte, error) {
			row, err := table.One(ctx, key)
			return row, c.count(ctx, 1, err)
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.writer, err = fulcrum.NewWriter(fulcrum.WriterConfig[store.Change, store.Written]{
		Apply: table.Apply, OrderBy: func(ch store.Change) string { return string(ch.Key) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.backend.Watch(ctx, c.db.Ping)
	}()
	c.t.Cleanup(func() {
		cancel()
		<-watched
		bounded, done := context.WithTimeout(context.Background(), 20*time.Second)
		defer done()
		_ = c.reader.Shutdown(bounded)
		_ = c.writer.Shutdown(bounded)
	})
}

// count notes who answered reads.
func (c *cluster) count(ctx context.Context, reads int, err error) error {
	switch {
	case err != nil:
	case fulcrum.CopyFrom(ctx) == postgres.Primary:
		c.byPrimary.Add(int64(reads))
	default:
		c.byReplicas.Add(int64(reads))
	}
	return err
}

// write sets the version of an account and returns the token of its commit.
func (c *cluster) write(ctx context.Context, key store.Key, version int64) (fulcrum.Token, error) {
	r, err := c.writer.Write(ctx, store.Change{Op: store.Put, Key: key, Body: fmt.Appendf(nil, `{"version":%d}`, version)})
	if err != nil {
		return "", err
	}
	if r.Token == "" {
		return "", fmt.Errorf("the commit of %s has no token", key)
	}
	return r.Token, nil
}

// read gives the version of an account.
func (c *cluster) read(ctx context.Context, key store.Key, opts ...fulcrum.Option) (int64, error) {
	row, err := c.reader.Get(ctx, key, opts...)
	if err != nil {
		return 0, err
	}
	var account struct{ Version json.Number }
	if err := json.Unmarshal(row, &account); err != nil {
		return 0, err
	}
	return account.Version.Int64()
}

// calls are how often a copy was asked.
func (c *cluster) calls(name string) uint64 {
	for _, s := range c.backend.Copies().Copies {
		if s.Name == name {
			return s.Calls - s.Behind
		}
	}
	c.t.Fatalf("no copy is called %q", name)
	return 0
}

// settled waits until all copies are known and none lags.
func (c *cluster) settled() {
	c.t.Helper()
	until(c.t, "replicas that do not lag", func() bool {
		for _, s := range c.backend.Copies().Copies {
			if !s.LagKnown || s.Lags || s.Ejected > 0 {
				return false
			}
		}
		return true
	})
}
