package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A relation is what the catalogue says of a table or view.
type relation struct {
	oid     uint32
	name    string // quoted, with its schema if that was given
	kind    byte   // pg_class.relkind: r, p, v, m, f
	columns []column
	indexes []index
	types   map[uint32]*dbType // of the columns, and of what they consist of
}

type column struct {
	name string
	typ  uint32
}

// An index is one over plain columns and all rows.
type index struct {
	columns []string
	unique  bool
}

// A dbType is one row of pg_type.
type dbType struct {
	oid    uint32
	name   string // as format_type writes it: what a cast can name
	short  string // pg_type.typname
	kind   byte   // pg_type.typtype: b, c, d, e, p, r, m
	elem   uint32 // of a true array
	base   uint32 // of a domain
	delim  byte   // between the elements of an array of these
	labels []string
}

func (r *relation) find(name string) (column, bool) {
	i := slices.IndexFunc(r.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return r.columns[i], true
}

// underlying is the type below all domains.
func (r *relation) underlying(oid uint32) *dbType {
	t := r.types[oid]
	for t != nil && t.kind == 'd' {
		t = r.types[t.base]
	}
	return t
}

const (
	relationSQL = `select c.oid, c.relkind::text from pg_catalog.pg_class c where c.oid = pg_catalog.to_regclass($1)`

	namesSQL = `select c.relname::text from pg_catalog.pg_class c
		where c.relkind in ('r', 'p', 'v', 'm', 'f')
		and case when $1 = '' then pg_catalog.pg_table_is_visible(c.oid) else c.relnamespace::regnamespace::text in ($1, pg_catalog.quote_ident($1)) end
		and c.relname not like 'pg\_%' limit 10000`

	columnsSQL = `select a.attname::text, a.atttypid from pg_catalog.pg_attribute a
		where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`

	// An index whose collation is another than its column's finds nothing here, and
	// what it keeps unique is not what the column takes for equal.
	indexesSQL = `select i.indisunique, array(
			select a.attname::text from pg_catalog.generate_series(0, i.indnkeyatts - 1) k
			join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k]
			where i.indcollation[k] = a.attcollation order by k) as names, i.indnkeyatts
		from pg_catalog.pg_index i where i.indrelid = $1 and i.indisvalid and i.indpred is null and i.indexprs is null`

	typesSQL = `with recursive reached(oid) as (
			select pg_catalog.unnest($1::pg_catalog.oid[])
			union
			select u.next from reached r join pg_catalog.pg_type p on p.oid = r.oid
			cross join lateral (values (p.typelem), (p.typbasetype)) as u(next) where u.next <> 0)
		select p.oid, pg_catalog.format_type(p.oid, -1), p.typname::text, p.typtype::text,
			case when e.typarray = p.oid then p.typelem else 0 end, p.typbasetype, p.typdelim::text,
			array(select l.enumlabel::text from pg_catalog.pg_enum l where l.enumtypid = p.oid order by l.enumsortorder)
		from reached r join pg_catalog.pg_type p on p.oid = r.oid left join pg_catalog.pg_type e on e.oid = p.typelem`
)

// describe reads what the catalogue says of a table; nil if there is none of the
// name.
func describe(ctx context.Context, c *pgx.Conn, table string) (*relation, error) {
	r := &relation{name: quoteTable(table)}
	var kind string
	err := c.QueryRow(ctx, relationSQL, r.name).Scan(&r.oid, &kind)
	if err == pgx.ErrNoRows { //nolint:errorlint // documented
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.kind = kind[0]
	rows, _ := c.Query(ctx, columnsSQL, r.oid)
	r.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (col column, err error) {
		return col, row.Scan(&col.name, &col.typ)
	})
	if err != nil {
		return nil, err
	}
	if err := r.readIndexes(ctx, c); err != nil {
		return nil, err
	}
	return r, r.readTypes(ctx, c)
}

func (r *relation) readIndexes(ctx context.Context, c *pgx.Conn) error {
	rows, _ := c.Query(ctx, indexesSQL, r.oid)
	var ix index
	var n int
	_, err := pgx.ForEachRow(rows, []any{&ix.unique, &ix.columns, &n}, func() error {
		if len(ix.columns) == n {
			r.indexes = append(r.indexes, index{slices.Clone(ix.columns), ix.unique})
		}
		return nil
	})
	return err
}

func (r *relation) readTypes(ctx context.Context, c *pgx.Conn) error {
	oids := make([]uint32, len(r.columns))
	for i, col := range r.columns {
		oids[i] = col.typ
	}
	rows, _ := c.Query(ctx, typesSQL, oids)
	types, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*dbType, error) {
		t := &dbType{}
		var kind, delim string
		err := row.Scan(&t.oid, &t.name, &t.short, &kind, &t.elem, &t.base, &delim, &t.labels)
		if err == nil {
			t.kind, t.delim = kind[0], delim[0]
		}
		return t, err
	})
	r.types = make(map[uint32]*dbType, len(types))
	for _, t := range types {
		r.types[t.oid] = t
	}
	return err
}

// isUnique says whether no two rows have the same values in the columns.
func (r *relation) isUnique(columns []string) bool {
	return slices.ContainsFunc(r.indexes, func(ix index) bool {
		return ix.unique && !slices.ContainsFunc(ix.columns, func(c string) bool { return !slices.Contains(columns, c) })
	})
}

// isIndexed says whether an index leads to the rows with given values in the
// columns.
func (r *relation) isIndexed(columns []string) bool {
	return slices.ContainsFunc(r.indexes, func(ix index) bool { return slices.Contains(columns, ix.columns[0]) })
}

// quote makes an identifier of a name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteTable makes identifiers of "table" or "schema.table".
func quoteTable(name string) string {
	schema, table := splitTable(name)
	if schema == "" {
		return quote(table)
	}
	return quote(schema) + "." + quote(table)
}

func splitTable(name string) (schema, table string) {
	if schema, table, ok := strings.Cut(name, "."); ok {
		return schema, table
	}
	return "", name
}

// tableNames are those that a missing table could have meant.
func tableNames(ctx context.Context, c *pgx.Conn, table string) ([]string, error) {
	schema, _ := splitTable(table)
	rows, _ := c.Query(ctx, namesSQL, schema)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if schema != "" {
		for i := range names {
			names[i] = schema + "." + names[i]
		}
	}
	return names, err
}

// didYouMean names the known name that is nearest to a wrong one, or lists a few.
func didYouMean(wrong string, known []string) string {
	best, distance := "", len(wrong)/2+1
	for _, k := range known {
		if d := editDistance(strings.ToLower(wrong), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	const few = 12
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) == 0:
		return ""
	case len(known) > few:
		return "; there are " + strings.Join(known[:few], ", ") + ", …"
	}
	return "; there are " + strings.Join(known, ", ")
}

// editDistance is the number of letters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
