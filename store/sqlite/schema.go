package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fulcrum-data/fulcrum/store"
)

// column is one column of a table as the file declares it.
type column struct {
	name     string
	declared string // type, upper case
	primary  int    // place in the primary key from 1, 0 if it is no part of it
	notNull  bool

	generated bool // computed by the file
}

// table is what a file says of a table or view.
type table struct {
	schema, name string
	kind         string // table or view, shadow or virtual
	columns      []column
	unique       [][]string // sets of columns of which no two rows have the same
}

// find ignores the case of ASCII letters, as SQLite does.
func (t *table) find(name string) (column, bool) {
	i := slices.IndexFunc(t.columns, func(c column) bool { return strings.EqualFold(c.name, name) })
	if i < 0 {
		return column{}, false
	}
	return t.columns[i], true
}

// query runs a statement and calls row for each row.
func (c *conn) query(sql string, args []any, row func(s *stmt)) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	defer s.close()
	for i, a := range args {
		if err := s.bind(i, a); err != nil {
			return err
		}
	}
	for {
		more, err := s.step()
		if err != nil || !more {
			return err
		}
		row(s)
	}
}

// describe reads what the file says of a table; one without columns is not there.
func (c *conn) describe(name string) (*table, error) {
	t := &table{schema: "main", name: name}
	if schema, rest, ok := strings.Cut(name, "."); ok {
		t.schema, t.name = schema, rest
	}
	args := []any{t.name, t.schema}
	err := c.query(`select type from pragma_table_list where name = ? collate nocase and schema = ? collate nocase`, args,
		func(s *stmt) { t.kind = string(s.text(0)) })
	if err != nil || t.kind == "" {
		return t, err
	}
	err = c.query(`select name, upper(type), pk, "notnull", hidden from pragma_table_xinfo(?, ?)`, args, func(s *stmt) {
		t.columns = append(t.columns, column{string(s.text(0)), string(s.text(1)), int(s.int(2)), s.int(3) != 0, s.int(4) > 1})
	})
	if err != nil {
		return t, err
	}
	return t, c.uniqueSets(t, args)
}

// uniqueSets finds the unique indexes that compare as their columns do: one that
// tells 'a' from 'A' does not keep a column that takes them for the same unique.
// An index over an expression or over a part of the rows is none.
func (c *conn) uniqueSets(t *table, args []any) error {
	type index struct{ name, origin string }
	var indexes []index
	err := c.query(`select name, origin from pragma_index_list(?, ?) where "unique" and not partial`, args, func(s *stmt) {
		indexes = append(indexes, index{string(s.text(0)), string(s.text(1))})
	})
	if err != nil {
		return err
	}
	hasPrimary := false
	for _, ix := range indexes {
		hasPrimary = hasPrimary || ix.origin == "pk"
		var set []string
		usable := true
		err := c.query(`select name, coll from pragma_index_xinfo(?, ?) where key`, []any{ix.name, t.schema}, func(s *stmt) {
			set = append(set, string(s.text(0)))
			usable = usable && s.class(0) != classNull
			if usable {
				usable = strings.EqualFold(string(s.text(1)), c.collation(t, set[len(set)-1]))
			}
		})
		if err != nil {
			return err
		}
		if usable {
			t.unique = append(t.unique, set)
		}
	}
	if set := t.primaryKey(); len(set) > 0 && !hasPrimary { // integer primary key: the row's own number
		t.unique = append(t.unique, set)
	}
	return nil
}

func (t *table) primaryKey() []string {
	var set []string
	for _, c := range t.columns {
		if c.primary > 0 {
			set = append(set, c.name)
		}
	}
	return set
}

// isUnique says whether no two rows have the same values in the columns.
func (t *table) isUnique(columns []string) bool {
	return slices.ContainsFunc(t.unique, func(set []string) bool {
		for _, name := range set {
			if !slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, name) }) {
				return false
			}
		}
		return true
	})
}

// keyType is the type of a key column by its declared type, by SQLite's own rules
// of affinity; a type with UUID in its name holds UUIDs as text.
func (c column) keyType() (store.KeyType, bool) {
	has := func(part string) bool { return strings.Contains(c.declared, part) }
	switch {
	case has("UUID"):
		return store.KeyUUID, true
	case has("INT"):
		return store.KeyInt, true
	case has("CHAR"), has("CLOB"), has("TEXT"):
		return store.KeyText, true
	case has("BLOB"):
		return store.KeyBytes, true
	}
	return 0, false
}

// opened is a resource that was checked.
type opened struct {
	resource store.Resource
	table    *table
	key      []store.KeyColumn
	sql      string
	exact    bool // the file takes no two keys for the same
}

// check compares a resource with the file and writes its select. Values are bound;
// the names in it are quoted and known to the file.
func (c *conn) check(r store.Resource, typed bool) (*opened, error) {
	wrong := func(field, format string, args ...any) error {
		return &store.ConfigError{Resource: r.Name, Field: field, Problem: fmt.Sprintf(format, args...)}
	}
	if r.Table == "" {
		return nil, wrong("table", "is missing: name a table or view")
	}
	t, err := c.describe(r.Table)
	if err != nil {
		return nil, err
	}
	if len(t.columns) == 0 {
		return nil, wrong("table", "%q is not in %s", r.Table, c.db.cfg.Path)
	}
	o := &opened{resource: r, table: t}
	if o.key, err = t.keyColumns(r.Key, typed, wrong); err != nil {
		return nil, err
	}
	if err := t.checkColumns(r.Columns, wrong); err != nil {
		return nil, err
	}
	order, err := t.orderBy(r, wrong)
	if err != nil {
		return nil, err
	}
	if !r.Many {
		if err := t.checkUnique(r.Key, wrong); err != nil {
			return nil, err
		}
	}
	o.sql, o.exact = t.selectSQL(r, order), true
	for _, k := range o.key {
		o.exact = o.exact && (k.Type != store.KeyText || strings.EqualFold(c.collation(t, k.Name), "BINARY"))
	}
	return o, c.checkIndex(o, wrong)
}

type wrongFunc func(field, format string, args ...any) error

func (t *table) keyColumns(names []string, typed bool, wrong wrongFunc) ([]store.KeyColumn, error) {
	if len(names) == 0 {
		return nil, wrong("key", "is missing: name the columns that a request gives")
	}
	var key []store.KeyColumn
	for i, name := range names {
		col, ok := t.find(name)
		if !ok {
			return nil, wrong("key", "%s has no column %q; it has %s", t.name, name, t.columnNames())
		}
		if slices.Contains(names[:i], name) {
			return nil, wrong("key", "names %q twice", name)
		}
		kind, ok := col.keyType()
		if !ok && !typed {
			return nil, wrong("key", "column %q is declared as %q: a key is an integer, text, a uuid or a blob", name, strings.ToLower(col.declared))
		}
		key = append(key, store.KeyColumn{Name: name, Type: kind})
	}
	return key, nil
}

func (t *table) checkColumns(names []string, wrong wrongFunc) error {
	if len(names) == 0 {
		return wrong("columns", "are missing: name at least one")
	}
	for i, name := range names {
		if _, ok := t.find(name); !ok {
			return wrong("columns", "%s has no column %q; it has %s", t.name, name, t.columnNames())
		}
		if slices.Contains(names[:i], name) {
			return wrong("columns", "name %q twice", name)
		}
	}
	return nil
}

func (t *table) columnNames() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

func (t *table) checkUnique(key []string, wrong wrongFunc) error {
	if t.isUnique(key) {
		return nil
	}
	if t.kind == "view" {
		return wrong("key", "%s is a view, which has no unique key: name its table, or set many", t.name)
	}
	return wrong("key", "several rows may have the same %s: set many, or create unique index %s_key on %s (%s)",
		strings.Join(key, ", "), t.name, t.name, strings.Join(key, ", "))
}

// orderBy reads "column, column desc".
func (t *table) orderBy(r store.Resource, wrong wrongFunc) (string, error) {
	if !r.Many && r.Order != "" {
		return "", wrong("order", "only a many resource has one")
	}
	if !r.Many && r.Limit != 0 {
		return "", wrong("limit", "only a many resource has one")
	}
	if r.Limit < 0 {
		return "", wrong("limit", "%d is negative", r.Limit)
	}
	if strings.TrimSpace(r.Order) == "" {
		return "", nil
	}
	var terms []string
	for term := range strings.SplitSeq(r.Order, ",") {
		words := strings.Fields(term)
		direction := ""
		if len(words) == 2 && (strings.EqualFold(words[1], "desc") || strings.EqualFold(words[1], "asc")) {
			direction, words = " "+strings.ToLower(words[1]), words[:1]
		}
		if len(words) != 1 {
			return "", wrong("order", "%q is not a column, or a column and desc", strings.TrimSpace(term))
		}
		if _, ok := t.find(words[0]); !ok {
			return "", wrong("order", "%s has no column %q; it has %s", t.name, words[0], t.columnNames())
		}
		terms = append(terms, quote(words[0])+direction)
	}
	return " order by " + strings.Join(terms, ", "), nil
}

func (t *table) selectSQL(r store.Resource, order string) string {
	var b strings.Builder
	b.WriteString("select ")
	for i, name := range r.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(name))
	}
	fmt.Fprintf(&b, " from %s.%s where ", quote(t.schema), quote(t.name))
	for i, name := range r.Key {
		if i > 0 {
			b.WriteString(" and ")
		}
		b.WriteString(quote(name) + " = ?")
	}
	b.WriteString(order)
	if r.Many {
		limit := r.Limit
		if limit == 0 {
			limit = store.DefaultLimit
		}
		fmt.Fprintf(&b, " limit %d", limit)
	}
	return b.String()
}

// quote makes an identifier of a name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// checkIndex asks SQLite how it would find the rows of a key: it must search, not
// read the whole table for each.
func (c *conn) checkIndex(o *opened, wrong wrongFunc) error {
	var searches bool
	var plan []string
	err := c.query("explain query plan "+o.sql, nil, func(s *stmt) {
		detail := string(s.text(3))
		plan = append(plan, detail)
		searches = searches || strings.HasPrefix(detail, "SEARCH")
	})
	if err != nil {
		return err
	}
	if !searches {
		columns := strings.Join(o.resource.Key, ", ")
		return wrong("key", "every request would read the whole table (%s): create index %s_%s on %s (%s)",
			strings.ToLower(strings.Join(plan, "; ")), o.table.name, strings.Join(o.resource.Key, "_"), o.table.name, columns)
	}
	return nil
}

// Open checks a resource against the file. Its errors are *store.ConfigError, or
// those of Ping.
func (db *DB) Open(ctx context.Context, r store.Resource) (store.Table, error) {
	var o *opened
	triggers := false
	err := db.with(ctx, func(c *conn) (err error) {
		if o, err = c.check(r, false); err != nil || !r.Writable {
			return err
		}
		return c.query("select 1 from sqlite_schema where type = 'trigger' limit 1", nil, func(*stmt) { triggers = true })
	})
	if err != nil {
		return nil, err
	}
	t := newTable(db, o)
	if !r.Writable {
		return t, nil
	}
	wrong := func(field, format string, args ...any) error {
		return &store.ConfigError{Resource: r.Name, Field: field, Problem: fmt.Sprintf(format, args...)}
	}
	if err := db.mayCommit(); err != nil {
		return nil, wrong("writable", "%v", err)
	}
	s, err := newSheet(o, wrong)
	if err != nil {
		return nil, err
	}
	s.triggers = triggers
	return newWritable(t, o, s), nil
}
