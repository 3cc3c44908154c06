package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/fulcrum-data/fulcrum/store"
)

// writable is an opened resource whose rows can be changed.
type writable struct {
	*table
	sheet atomic.Pointer[sheet]
}

var _ store.Exact = (*writable)(nil)

// ExactKeys says that the database takes no two keys for the same.
func (w *writable) ExactKeys() bool { return w.sheet.Load().alike == "" }

// A sheet is how a resource is written as long as its columns keep their types.
type sheet struct {
	read    *plan  // how rows are shown
	table   string // quoted
	columns []writeColumn
	byName  map[string]int
	key     []int     // of the resource's key, in columns
	body    []int     // what a Put sets, in columns
	all     columnSet // body
	version *versionColumn
	// keyShown are the columns of the key as rows that are made give them.
	keyShown []shownColumn
	identity bool // the database makes values for a part of the key, unless it is overridden
	// created says of a row that an upsert gives whether it was not there before.
	created string
	// suppressing says that a trigger or a rule may keep rows from being made.
	suppressing bool
	// alike asks for keys that the database takes for the same; empty if keys with
	// different texts are different keys.
	alike string

	mu    sync.Mutex // guards what follows
	kinds map[kind]*change
}

// A shownColumn is a column on its way back.
type shownColumn struct {
	column
	format int16
	show   appendFunc
	oid    uint32
}

func (r *relation) shownColumnOf(c column) shownColumn {
	s := shownColumn{column: c, oid: r.underlying(c.typ).oid}
	s.format, s.show = r.codecOf(c.typ).pick()
	return s
}

// A versionColumn is changed with every change of a row.
type versionColumn struct {
	shownColumn
	first string // of a new row
	next  string // of t's row, changed now
	cast  string // its type
}

// writeColumnsSQL is what only writing needs to know of columns.
const writeColumnsSQL = `select a.attname::text, a.attgenerated <> '' or a.attidentity = 'a', a.attidentity = 'a',
		a.atthasdef or a.attidentity <> '',
		coalesce((select pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.collname)
			from pg_catalog.pg_collation c join pg_catalog.pg_namespace n on n.oid = c.collnamespace
			where c.oid = a.attcollation and not c.collisdeterministic), '')
	from pg_catalog.pg_attribute a where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped`

// columnFacts are what writeColumnsSQL says of one column.
type columnFacts struct {
	computed   bool   // the database makes its values, always
	identity   bool   // it can be overridden
	defaulted  bool   // it makes one if none is given
	ignoresOdd string // the collation, if it takes different texts for the same
}

// arbiterSQL asks whether a unique index over exactly these columns can decide
// between insert and update.
const arbiterSQL = `select exists (select from pg_catalog.pg_index i where i.indrelid = $1 and i.indisvalid and i.indisunique
	and i.indimmediate and i.indpred is null and i.indexprs is null and i.indnkeyatts = pg_catalog.cardinality($2::text[])
	and not exists (select from pg_catalog.generate_series(0, i.indnkeyatts - 1) k join pg_catalog.pg_attribute a
		on a.attrelid = i.indrelid and a.attnum = i.indkey[k] where a.attname <> all ($2::text[]) or i.indcollation[k] <> a.attcollation))`

// suppressingSQL asks whether anything may keep a row from being made without an error.
const suppressingSQL = `select exists (select from pg_catalog.pg_trigger g where not g.tgisinternal and g.tgtype & 7 = 7
		and g.tgrelid in (select $1::pg_catalog.oid union all select relid::pg_catalog.oid from pg_catalog.pg_partition_tree($1::pg_catalog.oid)))
	or exists (select from pg_catalog.pg_rewrite r where r.ev_class = $1)`

// firstWriter is the oldest server that can say what became of a transaction.
const firstWriter = 130000

// openWritable checks what writing asks for beyond reading.
func (t *table) openWritable(ctx context.Context) (*writable, error) {
	w := &writable{table: t}
	s, err := w.makeSheet(ctx, t.plan.Load())
	if err != nil {
		return nil, err
	}
	w.sheet.Store(s)
	return w, nil
}

// makeSheet reads the catalogue for a plan that was made from it.
func (t *table) makeSheet(ctx context.Context, p *plan) (*sheet, error) {
	var s *sheet
	err := t.db.run(ctx, func(ctx context.Context, c *pgx.Conn) error {
		k, err := check(ctx, c, t.resource)
		if err != nil {
			return err
		}
		facts, suppressing, err := checkWritable(ctx, c, k)
		if err != nil {
			return err
		}
		if s, err = newSheet(k, p, facts); err != nil {
			return err
		}
		s.suppressing = suppressing
		for _, kd := range s.usual() {
			if err := s.tryPrepare(ctx, c, kd); err != nil {
				return refusedWrite(t.resource, err)
			}
		}
		return nil
	})
	return s, err
}

// checkWritable says what keeps a resource from being written, and reads what only
// writing needs.
func checkWritable(ctx context.Context, c *pgx.Conn, k *checked) (facts map[string]columnFacts, suppressing bool, err error) {
	switch {
	case k.Many:
		return nil, false, wrong(k.Resource, "writable", "a many resource cannot be written: a key has several rows")
	case k.relation.kind != 'r' && k.relation.kind != 'p':
		return nil, false, wrong(k.Resource, "writable", "%s is not a table", k.Table)
	}
	var number int
	if err := c.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&number); err != nil {
		return nil, false, err
	}
	if number < firstWriter {
		return nil, false, wrong(k.Resource, "writable", "writing needs PostgreSQL 13 or later")
	}
	var arbiter bool
	if err := c.QueryRow(ctx, arbiterSQL, k.relation.oid, k.Key).Scan(&arbiter); err != nil {
		return nil, false, err
	}
	if !arbiter {
		columns := strings.Join(k.Key, ", ")
		return nil, false, wrong(k.Resource, "writable", "no unique index over exactly %s decides whether a row is there: create unique index on %s (%s)",
			columns, k.Table, columns)
	}
	if err := c.QueryRow(ctx, suppressingSQL, k.relation.oid).Scan(&suppressing); err != nil {
		return nil, false, err
	}
	facts = map[string]columnFacts{}
	rows, _ := c.Query(ctx, writeColumnsSQL, k.relation.oid)
	var name string
	var f columnFacts
	_, err = pgx.ForEachRow(rows, []any{&name, &f.computed, &f.identity, &f.defaulted, &f.ignoresOdd}, func() error {
		facts[name] = f
		return nil
	})
	return facts, suppressing, err
}

// newSheet lists what can be written: the key, and the visible columns.
func newSheet(k *checked, p *plan, facts map[string]columnFacts) (*sheet, error) {
	s := &sheet{read: p, table: k.relation.name, byName: map[string]int{}, kinds: map[kind]*change{}}
	for i, c := range k.key {
		col := k.relation.writeColumnOf(c)
		col.key = &p.key[i]
		col.defaulted, col.computed = facts[c.name].defaulted, facts[c.name].computed
		s.identity = s.identity || facts[c.name].identity
		s.keyShown = append(s.keyShown, k.relation.shownColumnOf(c))
		s.key = append(s.key, s.add(col))
	}
	for _, c := range k.shown {
		if _, isKey := s.byName[c.name]; isKey {
			continue
		}
		col := k.relation.writeColumnOf(c)
		col.computed = facts[c.name].computed || c.name == k.Version
		if i := s.add(col); !col.computed {
			s.body = append(s.body, i)
		}
	}
	s.all = setOf(s.body, len(s.columns))
	s.alike = s.alikeSQL(k, facts)
	s.created = s.createdSQL(k.relation.kind)
	var err error
	s.version, err = k.versionColumn()
	return s, err
}

func (s *sheet) add(c writeColumn) int {
	s.columns = append(s.columns, c)
	s.byName[c.name] = len(s.columns) - 1
	return len(s.columns) - 1
}

// versionColumn checks Resource.Version; nil if there is none.
func (k *checked) versionColumn() (*versionColumn, error) {
	if k.Version == "" {
		return nil, nil
	}
	c, err := k.column("version", k.Version)
	if err != nil {
		return nil, err
	}
	if slices.Contains(k.Key, k.Version) {
		return nil, wrong(k.Resource, "version", "%q is a part of the key", k.Version)
	}
	t := k.relation.underlying(c.typ)
	v := &versionColumn{shownColumn: k.relation.shownColumnOf(c), cast: t.name}
	now := "pg_catalog.clock_timestamp()"
	switch t.oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		v.first, v.next = "1", fmt.Sprintf("coalesce(t.%s, 0) + 1", quote(c.name))
		return v, nil
	case pgtype.TimestampOID:
		now = "(pg_catalog.clock_timestamp() at time zone 'UTC')"
	case pgtype.TimestamptzOID:
	default:
		return nil, wrong(k.Resource, "version", "%q is of type %s: take an integer or a time", c.name, t.name)
	}
	// A clock may be set back; a version must never come again.
	v.first, v.next = now, fmt.Sprintf("greatest(%s, t.%s + interval '1 microsecond')", now, quote(c.name))
	return v, nil
}

// createdSQL looks at the row's lock: who replaces a row has locked it before. Rows of
// a partitioned table do not show it, so there the old rows are looked at as well; they
// may miss what another session has just made.
func (s *sheet) createdSQL(kind byte) string {
	if kind != 'p' {
		return "t.xmax = 0"
	}
	var same []string
	for _, name := range s.names(s.key) {
		same = append(same, fmt.Sprintf("o.%s = t.%s", name, name))
	}
	return fmt.Sprintf("not exists (select from %s as o where %s)", s.table, strings.Join(same, " and "))
}

// exactKeys are the types of which different keys are never equal.
var exactKeys = []uint32{
	pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.UUIDOID, pgtype.ByteaOID, pgtype.BoolOID,
	pgtype.DateOID, pgtype.TimestamptzOID, pgtype.TimestampOID, pgtype.TextOID, pgtype.VarcharOID, pgtype.NameOID,
}

// alikeSQL finds in a batch the keys that equal one before them, and counts how many
// such there are: 2 for the first of them.
func (s *sheet) alikeSQL(k *checked, facts map[string]columnFacts) string {
	loose := false
	var arrays, names, same []string
	for i, c := range s.key {
		col := s.columns[c]
		t := k.relation.underlying(k.key[i].typ)
		collation := facts[col.name].ignoresOdd
		loose = loose || collation != "" || t.kind != 'e' && !slices.Contains(exactKeys, t.oid)
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, col.keyArray()))
		names = append(names, fmt.Sprintf("k%d", i+1))
		term := fmt.Sprintf("k.k%d%s", i+1, col.keyCast())
		if collation != "" {
			term = fmt.Sprintf("(%s) collate %s", term, collation)
		}
		same = append(same, term)
	}
	if !loose {
		return ""
	}
	return fmt.Sprintf("select i, n from (select k.i, pg_catalog.row_number() over (partition by %s order by k.i) as n from unnest(%s) with ordinality as k(%s, i)) as s where n > 1",
		strings.Join(same, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "))
}

// refusedWrite makes a *store.ConfigError of what the server says about a statement
// that changes the resource.
func refusedWrite(r store.Resource, err error) error {
	if refused := refusalIn(err); refused != nil && refusalOf(refused.Code) == statementRefused {
		return wrong(r, "writable", "the database refuses to write it: %s (SQLSTATE %s)", refused.Message, refused.Code)
	}
	return err
}

// tryPrepare sees whether the server understands the statements of a kind.
func (s *sheet) tryPrepare(ctx context.Context, c *pgx.Conn, kd kind) error {
	ch := s.kindOf(kd)
	for _, st := range []*shaped{&ch.one, &ch.many} {
		if _, err := st.prepare(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
