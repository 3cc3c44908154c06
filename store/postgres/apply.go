package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// errUnclear says that rows came back of which nobody can tell whose they are: a
// trigger kept some from being made.
var errUnclear = errors.New("postgres: the database made other rows than it was told")

// Apply makes changes in one transaction. If nothing stands in the way that is one
// round trip: the statements, the transaction's end and the question for the token
// travel together. Otherwise it goes carefully, step by step.
func (w *writable) Apply(ctx context.Context, c *fulcrum.Commit[store.Change, store.Written]) error {
	if err := ended(ctx); err != nil {
		return err
	}
	bounded := w.db.watch.Begin(ctx, time.Now().Add(w.db.cfg.Timeout))
	defer w.db.watch.Finish(bounded)
	refreshed, screened := false, false
	for pause := newBackoff(); ; {
		c.Reset()
		err := w.attempt(bounded, c, screened)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fulcrum.ErrAmbiguous):
			return err
		case isBodyError(err) && !screened: // ParseChange has not seen it
			screened = true
		case !refreshed && (errors.Is(err, errSchemaChanged) || isSchemaError(err)):
			refreshed = true
			if again := w.refreshSheet(bounded); again != nil {
				return w.explainWrite(ctx, again)
			}
		case !passes(err) || w.db.closed.Load() || !pause.wait(bounded):
			return w.explainWrite(ctx, err)
		}
	}
}

// refreshSheet makes a new plan and a new sheet after the table has changed.
func (w *writable) refreshSheet(ctx context.Context) error {
	if err := w.refresh(ctx, w.plan.Load()); err != nil {
		return err
	}
	s, err := w.makeSheet(ctx, w.plan.Load())
	if err == nil {
		w.sheet.Store(s)
	}
	return err
}

// A job is one attempt at a commit.
type job struct {
	w       *writable
	s       *sheet
	c       *fulcrum.Commit[store.Change, store.Written]
	conn    *pgx.Conn
	who     *identity
	groups  []group
	made    []made // by item of the commit
	refused []made // those that failed before anything was sent
	out     []byte // rows as JSON
	xid     uint64
	params  *parameters
	applied bool // the commit was made before
}

// buffers are what parameters are put together in. A commit's are as large as its rows.
var buffers = sync.Pool{New: func() any { return new(parameters) }}

// mostKept is the largest buffer that is kept for the next commit, in bytes.
const mostKept = 1 << 20

func giveBack(p *parameters) {
	if cap(p.buf) <= mostKept {
		buffers.Put(p)
	}
}

// A group is what one statement makes.
type group struct {
	ch    *change
	edits []edit
}

// shaped is the statement for as many changes as there are.
func (g group) shaped() *shaped {
	if len(g.edits) > 1 {
		return &g.ch.many
	}
	return &g.ch.one
}

// made is what has become of a change so far.
type made struct {
	written store.Written
	at      span // of the row in the buffer
	err     error
	done    bool
}

func (w *writable) attempt(ctx context.Context, c *fulcrum.Commit[store.Change, store.Written], screen bool) error {
	j := &job{w: w, s: w.sheet.Load(), c: c, made: make([]made, c.Len()), params: buffers.Get().(*parameters)}
	defer giveBack(j.params)
	edits := j.read(screen)
	j.refused = slices.Clone(j.made)
	if len(edits) == 0 && c.Position() == nil {
		j.answer()
		return nil
	}
	conn, err := w.db.acquire(ctx)
	if err != nil {
		return err
	}
	defer giveUp(conn)
	j.conn = conn.Conn()
	if j.who, err = identify(ctx, j.conn); err != nil {
		return err
	}
	if err := j.sort(ctx, edits); err != nil {
		return err
	}
	if j.needsCare() {
		return j.carefully(ctx, caution{})
	}
	f, err := j.atOnce(ctx)
	switch {
	case err == nil, errors.Is(err, fulcrum.ErrAmbiguous):
	case isRowError(err) && len(edits) == 1:
		j.forget(edits)
		j.fail(&edits[0], err)
		err = nil
	case isRowError(err):
		return j.carefully(ctx, caution{immediate: f.last, guilty: f.at, why: err})
	}
	if err == nil || errors.Is(err, fulcrum.ErrAmbiguous) && f.last {
		j.answer() // without all rows nobody could say what was committed
	}
	return err
}

// acquire takes a connection that is not known to be dead.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for {
		c, err := db.pool.Acquire(ctx)
		if err != nil {
			return nil, noConnection{err}
		}
		if justUsed(c.Conn()) || reachable(c.Conn()) {
			return c, nil
		}
		_ = c.Conn().PgConn().Conn().Close() // no goodbye to the dead
		_ = c.Conn().Close(ctx)
		c.Release()
	}
}

// fresh is how long a connection is trusted that has just brought an answer: to look at
// it is a hundredth of a lone write.
const fresh = time.Millisecond

const usedKey = "fulcrum used"

func justUsed(c *pgx.Conn) bool {
	used, ok := c.PgConn().CustomData()[usedKey].(*time.Time)
	return ok && time.Since(*used) < fresh
}

// giveUp gives a connection back to the pool.
func giveUp(c *pgxpool.Conn) {
	if known := c.Conn().PgConn().CustomData(); known != nil {
		if used, ok := known[usedKey].(*time.Time); ok {
			*used = time.Now()
		} else {
			now := time.Now()
			known[usedKey] = &now
		}
	}
	c.Release()
}

// read makes edits of the changes. What cannot be one fails. With screen the values
// are looked at too, as ParseChange does.
func (j *job) read(screen bool) []edit {
	edits := make([]edit, 0, j.c.Len())
	items := j.c.Items()
	for i := range items {
		e, err := j.s.edit(&items[i])
		if err == nil && screen {
			err = j.s.checkValues(&e)
		}
		if e.i = i; err == nil && e.kind.ifVersion {
			var ok bool
			if e.version, ok = j.s.version.parse(items[i].IfVersion); !ok {
				err = store.ErrVersion
			}
		}
		if err != nil {
			j.made[i] = made{err: err, done: true}
			continue
		}
		edits = append(edits, e)
	}
	return edits
}

// parse makes of a version what the database reads. One that it never had is no
// version of the row.
func (v *versionColumn) parse(text string) (string, bool) {
	wire, ok := inputs[v.oid]
	if !ok {
		return text, false
	}
	out, want := wire(nil, store.AppendText(nil, text))
	return string(out), want == ""
}

// sort makes groups. Changes of keys that the database takes for the same come one
// after the other.
func (j *job) sort(ctx context.Context, edits []edit) error {
	if j.s.alike != "" && len(edits) > 1 {
		if err := j.findAlike(ctx, edits); err != nil {
			return err
		}
	}
	if len(edits) == 1 || !slices.ContainsFunc(edits, func(e edit) bool { return e.round != 1 || e.kind != edits[0].kind }) {
		if len(edits) > 0 {
			j.groups = []group{{j.s.kindOf(edits[0].kind), edits}}
		}
		return nil
	}
	type place struct {
		round int
		kind
	}
	places := map[place]int{}
	for _, e := range edits {
		at, ok := places[place{e.round, e.kind}]
		if !ok {
			at = len(j.groups)
			places[place{e.round, e.kind}] = at
			j.groups = append(j.groups, group{ch: j.s.kindOf(e.kind)})
		}
		j.groups[at].edits = append(j.groups[at].edits, e)
	}
	slices.SortStableFunc(j.groups, func(a, b group) int { return a.edits[0].round - b.edits[0].round })
	return nil
}

// findAlike asks the database which keys equal others before them.
func (j *job) findAlike(ctx context.Context, edits []edit) error {
	var keyed []edit
	var from []int
	for i, e := range edits {
		if e.parts != nil {
			keyed, from = append(keyed, e), append(from, i)
		}
	}
	if len(keyed) < 2 {
		return nil
	}
	keys := &change{kind: kind{verb: remove}, sheet: j.s}
	if err := keys.arguments(j.params, keyed); err != nil {
		return err
	}
	r := j.conn.PgConn().ExecParams(ctx, j.s.alike, j.params.values, nil, j.params.formats, []int16{binaryFormat, binaryFormat})
	return readRows(r, func(values [][]byte) error {
		edits[from[binary.BigEndian.Uint64(values[0])-1]].round = int(binary.BigEndian.Uint64(values[1]))
		return nil
	})
}

// needsCare says whether the commit has more to it than its statements.
func (j *job) needsCare() bool {
	if j.c.Position() != nil || j.s.suppressing {
		return true
	}
	for _, change := range j.c.Items() {
		if change.Once != nil {
			return true
		}
	}
	return false
}

// atOnce makes everything in one round trip. The transaction is the one that the
// server begins by itself, and it ends with the flight.
func (j *job) atOnce(ctx context.Context) (failure, error) {
	scoped := 0
	sets, err := j.prepare(ctx, false)
	if err != nil {
		return failure{}, err
	}
	f := takeOff(ctx, j.conn)
	if j.w.db.cfg.ScopeSetting != "" {
		scoped = 1
		j.setScope(f)
	}
	for i, g := range j.groups {
		if err := j.send(f, sets[i], g); err != nil {
			_ = f.close()
			return failure{}, err
		}
	}
	// What is flushed comes before the commit is made: its number among it. For a lone
	// row that is a second wake-up, a twentieth of its time.
	if len(j.made) > 1 {
		f.pipe.SendFlushRequest()
	}
	f.askToken(sets[len(sets)-1])
	if err := f.pipe.Flush(); err != nil {
		_ = f.close()
		return failure{}, commitFailure(failure{err: err, last: true})
	}
	got := f.land()
	got.at -= scoped
	if got.err = commitFailure(got); got.err == nil {
		j.tell(f)
	}
	if err := f.close(); got.err == nil && err != nil {
		return got, nil // committed; the connection broke afterwards
	}
	return got, j.afterFailure(ctx, got.err)
}

// prepare prepares the statements of all groups, and the question for the token. With
// both it prepares what parts of them will need too, which a transaction that has
// failed could not.
func (j *job) prepare(ctx context.Context, both bool) ([]*pgconn.StatementDescription, error) {
	sets := make([]*pgconn.StatementDescription, 0, len(j.groups)+1)
	for _, g := range j.groups {
		if both && g.ch.one.name != "" {
			if _, err := g.ch.one.prepare(ctx, j.conn); err != nil {
				return nil, err
			}
		}
		st := g.shaped()
		if st.name == "" {
			sets = append(sets, nil)
			continue
		}
		sd, err := st.prepare(ctx, j.conn)
		if err != nil {
			return nil, err
		}
		sets = append(sets, sd)
	}
	if !j.w.db.cfg.Tokens {
		return append(sets, nil), nil
	}
	sd, err := j.conn.Prepare(ctx, tokenStatement.name, tokenStatement.sql)
	return append(sets, sd), err
}

// setScope sends the call's scope ahead, for the policies of row-level security.
func (j *job) setScope(f *flight) {
	p := &parameters{values: [][]byte{[]byte(j.w.db.cfg.ScopeSetting), []byte(fulcrum.ScopeFrom(f.ctx))}}
	f.plain(setScope, p, nil, ignoreRows)
}

// send adds a group's statement to a flight.
func (j *job) send(f *flight, sd *pgconn.StatementDescription, g group) error {
	if err := g.ch.arguments(j.params, g.edits); err != nil {
		return err
	}
	st := g.shaped()
	rows := &reader{j: j, g: g}
	if sd == nil {
		f.plain(st.sql, j.params, st.formats, rows.row)
	} else {
		f.prepared(sd, j.params, st.formats, rows.row)
	}
	f.after(rows.end)
	if st.quiet {
		f.reads[len(f.reads)-1].tag = &rows.tag
	}
	return nil
}

// afterFailure has prepared statements that no longer fit made anew.
func (j *job) afterFailure(ctx context.Context, err error) error {
	if !outdated(err) || j.conn.IsClosed() {
		return err
	}
	return errors.Join(err, j.conn.DeallocateAll(ctx))
}

// fail gives a change its own error.
func (j *job) fail(e *edit, err error) {
	j.made[e.i] = made{err: rowError(err), done: true}
}

// forget takes back what was read of changes that were not made after all.
func (j *job) forget(edits []edit) {
	for _, e := range edits {
		j.made[e.i] = made{}
	}
}

// answer tells the commit what has become of each change.
func (j *job) answer() {
	if j.xid != 0 {
		j.c.SetID(j.who.commitID(j.xid))
	}
	for i := range j.made {
		if written, err := j.result(i); err != nil {
			j.c.Fail(i, err)
		} else {
			j.c.Set(i, written)
		}
	}
}

// missing is the error of a change whose statement gave no row.
func missing(c *store.Change) error {
	switch {
	case c.IfVersion != "":
		return store.ErrVersion
	case c.Op == store.Insert && c.Key == "":
		return &store.RowError{Message: "the database made no row; a trigger may keep it from doing so"}
	case c.Op == store.Insert || c.IfAbsent:
		return store.ErrExists
	case c.Op == store.Put:
		return &store.RowError{Message: "the database made no row; a trigger may keep it from doing so"}
	}
	return fulcrum.ErrNotFound
}

// noConnection says that there was no connection to be had.
type noConnection struct{ err error }

func (e noConnection) Error() string { return fmt.Sprintf("postgres: no connection: %v", e.err) }
func (e noConnection) Unwrap() error { return e.err }
