package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum/store"
)

// A checked resource fits the database. Its statements name what the catalogue
// knows, quoted; values are always bound.
type checked struct {
	store.Resource
	relation *relation
	key      []column
	shown    []column
	order    string
}

// check compares a resource with the catalogue. Its errors are *store.ConfigError,
// or the driver's.
func check(ctx context.Context, c *pgx.Conn, r store.Resource) (*checked, error) {
	if r.Table == "" {
		return nil, wrong(r, "table", "is missing: name a table or view")
	}
	rel, err := describe(ctx, c, r.Table)
	if err != nil {
		return nil, err
	}
	if rel == nil {
		names, err := tableNames(ctx, c, r.Table)
		if err != nil {
			return nil, err
		}
		return nil, wrong(r, "table", "the database has no table %q%s", r.Table, didYouMean(r.Table, names))
	}
	if !strings.ContainsRune("rpvmf", rune(rel.kind)) {
		return nil, wrong(r, "table", "%s is neither a table nor a view", r.Table)
	}
	k := &checked{Resource: r, relation: rel}
	if k.key, err = k.named("key", r.Key); err != nil {
		return nil, err
	}
	if k.shown, err = k.named("columns", r.Columns); err != nil {
		return nil, err
	}
	if err := k.checkOrder(); err != nil {
		return nil, err
	}
	return k, k.checkIndex()
}

func wrong(r store.Resource, field, format string, args ...any) error {
	return &store.ConfigError{Resource: r.Name, Field: field, Problem: fmt.Sprintf(format, args...)}
}

// named looks up the columns of a field.
func (k *checked) named(field string, names []string) ([]column, error) {
	if len(names) == 0 {
		return nil, wrong(k.Resource, field, "is missing: name at least one column")
	}
	cols := make([]column, len(names))
	for i, name := range names {
		c, err := k.column(field, name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(names[:i], name) {
			return nil, wrong(k.Resource, field, "names %q twice", name)
		}
		cols[i] = c
	}
	return cols, nil
}

func (k *checked) column(field, name string) (column, error) {
	c, ok := k.relation.find(name)
	if !ok {
		known := make([]string, len(k.relation.columns))
		for i, c := range k.relation.columns {
			known[i] = c.name
		}
		return c, wrong(k.Resource, field, "%s has no column %q%s", k.Table, name, didYouMean(name, known))
	}
	return c, nil
}

// checkOrder reads "column, column desc" and the limit.
func (k *checked) checkOrder() error {
	switch {
	case !k.Many && k.Order != "":
		return wrong(k.Resource, "order", "only a many resource has one")
	case !k.Many && k.Limit != 0:
		return wrong(k.Resource, "limit", "only a many resource has one")
	case k.Limit < 0:
		return wrong(k.Resource, "limit", "%d is negative", k.Limit)
	case k.Limit == 0:
		k.Limit = store.DefaultLimit
	}
	if strings.TrimSpace(k.Order) == "" {
		return nil
	}
	var terms []string
	for term := range strings.SplitSeq(k.Order, ",") {
		words := strings.Fields(term)
		direction := ""
		if len(words) == 2 && (strings.EqualFold(words[1], "desc") || strings.EqualFold(words[1], "asc")) {
			direction, words = " "+strings.ToLower(words[1]), words[:1]
		}
		if len(words) != 1 {
			return wrong(k.Resource, "order", "%q is not a column, or a column and desc", strings.TrimSpace(term))
		}
		c, err := k.column("order", words[0])
		if err != nil {
			return err
		}
		terms = append(terms, "t."+quote(c.name)+direction)
	}
	k.order = " order by " + strings.Join(terms, ", ")
	return nil
}

// checkIndex sees to it that a key has one row, and that the database finds the
// rows of a key without reading all others.
func (k *checked) checkIndex() error {
	columns := strings.Join(k.Key, ", ")
	name := strings.ReplaceAll(k.Table, ".", "_") + "_" + strings.Join(k.Key, "_")
	viewed := k.relation.kind == 'v' || k.relation.kind == 'f'
	switch {
	case !k.Many && viewed:
		return wrong(k.Resource, "key", "%s is a view, which has no unique key: name its table, or set many", k.Table)
	case !k.Many && !k.relation.isUnique(k.Key):
		return wrong(k.Resource, "key", "several rows may have the same %s: set many, or create unique index %s on %s (%s)",
			columns, name, k.Table, columns)
	case k.Many && !viewed && !k.relation.isIndexed(k.Key):
		return wrong(k.Resource, "key", "every request would read the whole table: create index %s on %s (%s)", name, k.Table, columns)
	}
	return nil
}

// oneSQL is the plain query: one parameter for each key column.
func (k *checked) oneSQL() string {
	return k.selectSQL(func(i int) string { return fmt.Sprintf("$%d::%s", i+1, k.cast(i)) })
}

// fetchSQL is the shared query: one array for each key column. The position of
// the key is the last column. The rows of a key come together and in order, since
// a lateral subquery with a limit runs once for each key, one after the other.
func (k *checked) fetchSQL() string {
	var arrays, names []string
	for i := range k.key {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, k.cast(i)))
		names = append(names, fmt.Sprintf("k%d", i+1))
	}
	one := k.selectSQL(func(i int) string { return fmt.Sprintf("k.k%d", i+1) })
	return fmt.Sprintf("select t.*, k.i from unnest(%s) with ordinality as k(%s, i) cross join lateral (%s) as t",
		strings.Join(arrays, ", "), strings.Join(names, ", "), one)
}

// selectSQL reads the rows of one key. The table's column stands on the left, so
// that the key is compared as the column's type and collation want it.
func (k *checked) selectSQL(value func(i int) string) string {
	shown := make([]string, len(k.shown))
	for i, c := range k.shown {
		shown[i] = "t." + quote(c.name)
	}
	equal := make([]string, len(k.key))
	for i, c := range k.key {
		equal[i] = fmt.Sprintf("t.%s = %s", quote(c.name), value(i))
	}
	sql := fmt.Sprintf("select %s from %s as t where %s%s",
		strings.Join(shown, ", "), k.relation.name, strings.Join(equal, " and "), k.order)
	if k.Many {
		sql += fmt.Sprintf(" limit %d", k.Limit)
	}
	return sql
}

// cast is the type of a key column, without a length: a longer key is no key of
// the table, and must not be cut to one.
func (k *checked) cast(i int) string { return k.relation.underlying(k.key[i].typ).name }

// refusedAs makes a *store.ConfigError of what the server says about a statement
// of the resource: a missing privilege, an operator that does not exist.
func refusedAs(r store.Resource, err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refusalOf(refused.Code) == statementRefused {
		return wrong(r, "table", "the database refuses to read it: %s (SQLSTATE %s)", refused.Message, refused.Code)
	}
	return err
}
