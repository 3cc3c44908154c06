package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
)

// Primary is the fulcrum.Copy.Name of the database of Config.DSN.
const Primary = "primary"

// Replica is a streaming replica of the database.
type Replica struct {
	// Name tells it from the others; not "primary". Required.
	Name string
	// DSN is as Config.DSN. Required.
	DSN string
	// Region is where it is, for fulcrum.Choice.Region. Default: nowhere.
	Region string
}

// A replica is a server in recovery, or one that was in recovery when it was named.
type replica struct {
	Replica
	db   *DB
	pool *pgxpool.Pool
	line atomic.Uint64 // the timeline of its last look, 0: there was none
}

// nodes are the replicas by their names; nil is the primary.
type nodes map[string]*replica

// SetReplicas changes the replicas while calls run; those that stay keep their connections,
// if their DSN is the same. An error changes nothing. Connections of those that go are
// closed when their calls are over.
func (db *DB) SetReplicas(all []Replica) error {
	db.replicasMu.Lock()
	defer db.replicasMu.Unlock()
	was := *db.replicas.Load()
	next := make(nodes, len(all))
	var made []*replica
	for i, r := range all {
		var err error
		switch old := was[r.Name]; {
		case r.Name == "" || r.Name == Primary || next[r.Name] != nil:
			err = fmt.Errorf("postgres: Config.Replicas: number %d: %q is no name of its own", i+1, r.Name)
		case old != nil && old.Replica == r:
			next[r.Name] = old
		default:
			if next[r.Name], err = db.openReplica(r); err == nil {
				made = append(made, next[r.Name])
			}
		}
		if err != nil {
			for _, r := range made {
				r.pool.Close()
			}
			return err
		}
	}
	order := make([]string, len(all))
	for i, r := range all {
		order[i] = r.Name
	}
	db.order = order
	db.replicas.Store(&next)
	for name, old := range was {
		if next[name] != old {
			go old.pool.Close() // waits for its calls
		}
	}
	return nil
}

// openReplica makes the pool. Whether the server answers is up to Check.
func (db *DB) openReplica(r Replica) (*replica, error) {
	cfg := db.cfg
	if cfg.DSN = r.DSN; r.DSN == "" {
		return nil, fmt.Errorf("postgres: replica %q: DSN is missing: give it postgres://user@host:port/database", r.Name)
	}
	pc, err := cfg.poolConfig()
	if err != nil {
		return nil, fmt.Errorf("replica %q: %w", r.Name, err)
	}
	pc.AfterConnect = db.connected
	pc.BeforeClose = func(c *pgx.Conn) { db.conns.Delete(c) }
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		return nil, fmt.Errorf("postgres: replica %q: %w", r.Name, err)
	}
	return &replica{Replica: r, db: db, pool: pool}, nil
}

// Copies are the primary and its replicas, for fulcrum.BackendConfig.Copies; none if there
// are no replicas.
func (db *DB) Copies() []fulcrum.Copy {
	db.replicasMu.Lock()
	defer db.replicasMu.Unlock()
	if len(db.order) == 0 {
		return nil
	}
	all := []fulcrum.Copy{{Name: Primary, Primary: true, Region: db.cfg.Region, Check: db.checkPrimary}}
	for _, name := range db.order {
		r := (*db.replicas.Load())[name]
		all = append(all, fulcrum.Copy{Name: name, Region: r.Region, Check: r.check})
	}
	return all
}

func (db *DB) checkPrimary(ctx context.Context) (fulcrum.Lag, error) {
	_, err := db.askPosition(ctx)
	return fulcrum.Lag{}, err
}

// at is the replica that a call is for, nil for the primary.
func (db *DB) at(ctx context.Context) (*replica, error) {
	name := fulcrum.CopyFrom(ctx)
	if name == "" || name == Primary {
		return nil, nil
	}
	all := *db.replicas.Load()
	if r := all[name]; r != nil {
		return r, nil
	}
	if len(all) == 0 { // it is one of the copies itself, or its replicas went
		return nil, nil
	}
	return nil, unavailable{fmt.Errorf("replica %q is not there any more", name)}
}

// connections are the pool of a replica, or of the primary.
func (db *DB) connections(r *replica) *pgxpool.Pool {
	if r == nil {
		return db.pool
	}
	return r.pool
}

// A log is what is known of the primary's write-ahead log.
type log struct {
	system   string
	timeline uint64
	past     []mark // where it stood, latest last
}

// A mark is where the log stood at a moment.
type mark struct {
	at   time.Time
	upTo position
}

const (
	marks     = 64                     // that are kept
	markEvery = 100 * time.Millisecond // at most so often the primary is asked
)

// primaryLog guards a log.
type primaryLog struct {
	mu sync.Mutex
	log
}

// logSQL asks a primary where its log ends, and of which timeline it is.
const logSQL = `select (select system_identifier::text from pg_catalog.pg_control_system()),
	pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8),
	(` + endSQL + `)::text`

// askPosition asks the primary where its log stands, and remembers it.
func (db *DB) askPosition(ctx context.Context) (mark, error) {
	var m mark
	err := db.runAt(ctx, nil, func(ctx context.Context, c *pgx.Conn) error {
		began := time.Now()
		var system, line, at string
		if err := c.QueryRow(ctx, logSQL).Scan(&system, &line, &at); err != nil {
			return err
		}
		found, err := parseToken(fulcrum.Token(tokenPrefix + system + ":" + line + ":" + at))
		if err == nil {
			m = mark{began, found.at}
			db.primary.note(found, m)
		}
		return err
	})
	return m, err
}

// note remembers where the log stood. Another timeline, or another cluster, begins anew.
func (p *primaryLog) note(found moment, m mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.system == found.system && found.timeline < p.timeline {
		return // of a primary that is none any more
	}
	if p.system != found.system || p.timeline != found.timeline {
		p.log = log{system: found.system, timeline: found.timeline}
	}
	if n := len(p.past); n > 0 && m.at.Sub(p.past[n-1].at) < markEvery {
		p.past[n-1].upTo = max(p.past[n-1].upTo, m.upTo) // the older moment with the later place: errs to the older
		return
	}
	if len(p.past) == marks {
		p.past = append(p.past[:0], p.past[1:]...)
	}
	p.past = append(p.past, m)
}

// passed remembers that a commit has got so far.
func (p *primaryLog) passed(t fulcrum.Token) {
	if m, err := parseToken(t); err == nil {
		p.note(m, mark{time.Now(), m.at})
	}
}

// recent is the last mark, if it is recent enough.
func (p *primaryLog) recent() (mark, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.past); n > 0 && time.Since(p.past[n-1].at) < markEvery {
		return p.past[n-1], true
	}
	return mark{}, false
}

// staleness is how old the data is of somebody who has seen the log up to a place: since
// when it stood further on. False: longer than is remembered.
func (p *primaryLog) staleness(seen position, now time.Time) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.past) == 0 {
		return 0, false
	}
	for i := len(p.past) - 1; i >= 0; i-- {
		if p.past[i].upTo <= seen {
			return max(0, now.Sub(p.past[i].at)), true
		}
	}
	return now.Sub(p.past[0].at), false
}

// knows says whether a moment can be one of this log, as far as is known: yes, no, or
// that the primary must be asked.
func (p *primaryLog) knows(m moment) (known, possible bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n := len(p.past); {
	case n == 0:
		return false, false
	case m.system != p.system:
		return true, false
	case m.timeline != p.timeline:
		return m.timeline < p.timeline, m.timeline < p.timeline
	default:
		ok := m.at <= p.past[n-1].upTo
		return ok, ok
	}
}

// Vet says whether a token can be one of this database; for fulcrum.Choice.Vet. A token of
// another database, of a timeline that is to come, or beyond the end of the log is a
// fulcrum.ErrToken. Tokens of journals are not looked at.
func (db *DB) Vet(ctx context.Context, t fulcrum.Token) error {
	if len(t) < len(tokenPrefix) || t[:len(tokenPrefix)] != tokenPrefix {
		return nil
	}
	m, err := parseToken(t)
	if err != nil {
		return err
	}
	if known, possible := db.primary.knows(m); known && possible {
		return nil
	}
	if _, err := db.askPosition(ctx); err != nil {
		return err
	}
	if known, possible := db.primary.knows(m); !known || !possible {
		return fmt.Errorf("%w: it is of another one, or of a moment that has not been yet", fulcrum.ErrToken)
	}
	return nil
}

// replicaSQL asks a server, which may be in recovery, how far it has got.
const replicaSQL = `select (select system_identifier::text from pg_catalog.pg_control_system()),
	pg_catalog.pg_is_in_recovery(),
	case when pg_catalog.pg_is_in_recovery() then (select timeline_id::bigint from pg_catalog.pg_control_checkpoint())
		else ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint end,
	(` + seenSQL + `)::text,
	coalesce(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()), 0)::float8`

// seenSQL is how far a server has got.
const seenSQL = `select case when pg_catalog.pg_is_in_recovery() then coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0')
	else (` + endSQL + `) end`

// check says how far the replica lags: how long ago the primary's log stood where the
// replica is now, and by how many bytes it is further on.
func (r *replica) check(ctx context.Context) (fulcrum.Lag, error) {
	last, ok := r.db.primary.recent()
	if !ok {
		var err error
		if last, err = r.db.askPosition(ctx); err != nil {
			last = mark{} // the primary is away: its replicas are all there is
		}
	}
	var system, at string
	var recovering bool
	var line int64
	var age float64
	began := time.Now()
	err := r.db.runAt(ctx, r, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, replicaSQL).Scan(&system, &recovering, &line, &at, &age)
	})
	if err != nil {
		return fulcrum.Lag{}, err
	}
	if known := r.db.primary.cluster(); known != "" && known != system {
		return fulcrum.Lag{}, fmt.Errorf("postgres: replica %q is of another database cluster than the primary", r.Name)
	}
	seen, ok := parsePosition(at)
	if !ok {
		return fulcrum.Lag{}, errors.New("postgres: the server's position cannot be read")
	}
	r.line.Store(uint64(line))
	return r.lag(last, seen, began, time.Duration(age*float64(time.Second))), nil
}

// lag is what a look at the replica comes to. age is how long ago the last transaction was
// made that it has seen.
func (r *replica) lag(last mark, seen position, now time.Time, age time.Duration) fulcrum.Lag {
	if last.at.IsZero() {
		return fulcrum.Lag{Time: age, Bytes: -1}
	}
	l := fulcrum.Lag{Bytes: max(0, int64(last.upTo)-int64(seen))}
	var ok bool
	if l.Time, ok = r.db.primary.staleness(seen, now); !ok {
		l.Time = max(l.Time, age)
	}
	return l
}

// cluster is the primary's, empty if it was never asked.
func (p *primaryLog) cluster() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.system
}

// mustSee is the place that the tokens of a call name; 0: none. A replica that cannot
// know it is behind.
func (r *replica) mustSee(ctx context.Context) (position, error) {
	tokens := fulcrum.AfterFrom(ctx)
	if len(tokens) == 0 {
		return 0, nil
	}
	line := r.line.Load()
	cluster := r.db.primary.cluster()
	var all position
	for _, t := range tokens {
		m, err := parseToken(t)
		// A timeline of a replica is that of its last restart point, which may be an older
		// one; never a later one.
		if err != nil || m.system != cluster || m.timeline != line {
			return 0, fulcrum.ErrBehind
		}
		all = max(all, m.at)
	}
	return all, nil
}

// mustSee is the place in the log that a call's copy must be asked for; 0: none.
func (db *DB) mustSee(ctx context.Context, c *pgconn.PgConn) (position, error) {
	r, err := db.at(ctx)
	if err != nil || r == nil {
		return 0, err
	}
	must, err := r.mustSee(ctx)
	if err != nil || db.blind || hasSeen(c, must) {
		return 0, err
	}
	return must, nil
}

var seenStatement = newStatement("select (" + seenSQL + ")::text")

// seenKey is where a connection keeps how far its server had got. It is never further back:
// a server that was started again has other connections.
const seenKey = "fulcrum seen"

// hasSeen says whether that is known without asking.
func hasSeen(c *pgconn.PgConn, must position) bool {
	seen, _ := c.CustomData()[seenKey].(position)
	return seen >= must
}

// readSeen reads the answer of seenStatement, which comes before that of the query whose
// snapshot is taken after it.
func readSeen(c *pgconn.PgConn, text []byte, must position) error {
	seen, ok := parsePosition(string(text))
	if !ok || seen < must {
		return fulcrum.ErrBehind
	}
	c.CustomData()[seenKey] = seen
	return nil
}
