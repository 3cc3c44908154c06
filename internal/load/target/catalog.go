package target

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// errNoRow is what strategies without a Reader say of a key without a row.
var errNoRow = fmt.Errorf("%w by the plain query", fulcrum.ErrNotFound)

// shape is what a table or view looks like.
type shape struct {
	name         string
	key, columns []string // key: the primary one, if it has one
}

// usualTable is what fulcrum demo makes, and a good guess elsewhere.
const usualTable = "users"

// complete fills in what a configuration leaves open.
func (c *StoreConfig) complete(ctx context.Context, b backend) error {
	if c.Table != "" && len(c.Key) > 0 && len(c.Columns) > 0 {
		return nil
	}
	shapes, err := b.shapes(ctx)
	if err != nil {
		return err
	}
	s, err := c.choose(shapes)
	if err != nil {
		return err
	}
	c.Table = s.name
	if len(c.Key) == 0 {
		c.Key = s.key
	}
	if len(c.Columns) == 0 {
		c.Columns = s.columns
	}
	if len(c.Key) == 0 {
		return fmt.Errorf("table %s has no primary key: name the columns of a unique key", c.Table)
	}
	return nil
}

// choose finds the table that is meant.
func (c *StoreConfig) choose(shapes []shape) (shape, error) {
	var names []string
	var keyed []shape
	for _, s := range shapes {
		if strings.EqualFold(s.name, c.Table) || strings.EqualFold(s.name, strings.TrimPrefix(c.Table, "public.")) {
			return s, nil
		}
		names = append(names, s.name)
		if len(s.key) > 0 {
			keyed = append(keyed, s)
		}
	}
	there := "there is " + strings.Join(names, ", ")
	if len(names) == 0 {
		there = "there is none"
	}
	if c.Table != "" {
		return shape{}, fmt.Errorf("no table %s: %s", c.Table, there)
	}
	if len(keyed) == 1 {
		return keyed[0], nil
	}
	if i := slices.IndexFunc(keyed, func(s shape) bool { return s.name == usualTable }); i >= 0 {
		return keyed[i], nil
	}
	return shape{}, fmt.Errorf("name the table to read: %s", there)
}

// Table is the table that is read, as configured or found.
func (s *Store) Table() string { return s.cfg.Table }

// mostSampled bounds the memory for keys.
const mostSampled = 100_000

// Keys are keys that the table has: all, or the first 100,000.
func (s *Store) Keys(ctx context.Context) (load.Keys, error) {
	found, err := s.backend.sample(ctx, s.cfg, mostSampled)
	if err != nil {
		return load.Keys{}, err
	}
	list := make([]string, 0, len(found))
	for _, parts := range found {
		if !slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(p, "/") }) {
			list = append(list, strings.Join(parts, "/"))
		}
	}
	if len(list) == 0 {
		return load.Keys{}, fmt.Errorf("table %s has no rows to ask for", s.cfg.Table)
	}
	return load.AmongKeys(list, fmt.Sprintf("uniform among %d keys of the table", len(list))), nil
}

// shapesSQL finds tables and views outside of the system's own schemas. What is not
// in the search path is named with its schema.
const shapesSQL = `select
	case when pg_catalog.pg_table_is_visible(c.oid) then c.relname::text else n.nspname::text || '.' || c.relname::text end,
	array(select a.attname::text from pg_catalog.pg_index i, pg_catalog.generate_series(0, i.indnkeyatts - 1) k, pg_catalog.pg_attribute a
		where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = i.indkey[k] order by k),
	array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
	from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
	where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
		and n.nspname <> 'information_schema' and n.nspname not like 'pg\_%'
	order by 1`

func (b postgresBackend) shapes(ctx context.Context) (all []shape, err error) {
	err = b.each(ctx, shapesSQL, func(rows pgx.Rows) error {
		var s shape
		err := rows.Scan(&s.name, &s.key, &s.columns)
		all = append(all, s)
		return err
	})
	return all, err
}

func (b postgresBackend) sample(ctx context.Context, cfg StoreConfig, most int) (keys [][]string, err error) {
	places := make([]string, len(cfg.Key))
	for i, k := range cfg.Key {
		places[i] = quote(k) + "::text"
	}
	query := fmt.Sprintf("select array[%s] from %s limit %d", strings.Join(places, ", "), quoteTable(cfg.Table), most)
	err = b.each(ctx, query, func(rows pgx.Rows) error {
		var parts []string
		err := rows.Scan(&parts)
		keys = append(keys, parts)
		return err
	})
	return keys, err
}

// each runs a query on a connection of its own.
func (b postgresBackend) each(ctx context.Context, query string, f func(pgx.Rows) error) error {
	c, err := pgx.ConnectConfig(ctx, b.conn.Copy())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	rows, err := c.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (b sqliteBackend) shapes(ctx context.Context) ([]shape, error) {
	var all []shape
	err := b.each(ctx, `select t.name, c.name, printf('%03d', c.pk) from pragma_table_list t, pragma_table_xinfo(t.name) c
		where t.schema = 'main' and t.type in ('table', 'view') and t.name not like 'sqlite\_%' escape '\' and c.hidden <> 1
		order by t.name, c.cid`, 3, func(row []string) {
		if len(all) == 0 || all[len(all)-1].name != row[0] {
			all = append(all, shape{name: row[0]})
		}
		s := &all[len(all)-1]
		s.columns = append(s.columns, row[1])
		if row[2] != "000" {
			s.key = append(s.key, row[2]+" "+row[1]) // numbered, as their order is one of their own
		}
	})
	for _, s := range all {
		slices.Sort(s.key)
		for i, k := range s.key {
			_, s.key[i], _ = strings.Cut(k, " ")
		}
	}
	return all, err
}

func (b sqliteBackend) sample(ctx context.Context, cfg StoreConfig, most int) (keys [][]string, err error) {
	query := fmt.Sprintf("select %s from %s limit %d", quoteAll(cfg.Key), quoteTable(cfg.Table), most)
	err = b.each(ctx, query, len(cfg.Key), func(row []string) { keys = append(keys, slices.Clone(row)) })
	return keys, err
}

// each runs a query whose columns are read as text.
func (b sqliteBackend) each(ctx context.Context, query string, columns int, f func([]string)) error {
	db, err := b.reopen()
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	row, into := make([]string, columns), make([]any, columns)
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		f(row)
	}
	return rows.Err()
}
