package config

import (
	"go.yaml.in/yaml/v4"

	"github.com/fulcrum-data/fulcrum/store"
)

// readResources reads what is served. Whether it fits the database, the database
// says.
func (c *Config) readResources(kept *caching) func(value) {
	return func(v value) {
		if !v.is(yaml.MappingNode, "names, each with a table, a key and columns") {
			return
		}
		if len(v.node.Content) == 0 {
			v.wrong("names nothing: want at least one")
		}
		v.members(func(name *yaml.Node, member value) {
			c.Resources = append(c.Resources, readResource(name.Value, member, kept))
		})
	}
}

func readResource(name string, v value, kept *caching) store.Resource {
	r := store.Resource{Name: name}
	v.fields(
		field{name: "table", read: intoText(&r.Table, "a table or view"), missing: "name a table or view"},
		field{name: "key", read: readKey(&r.Key), missing: "name the column or columns that a request gives"},
		field{name: "columns", read: intoTexts(&r.Columns, "columns"), missing: "name those that a row shows"},
		field{name: "many", read: intoBool(&r.Many)},
		field{name: "order", read: intoText(&r.Order, `columns, such as "created_at desc"`)},
		field{name: "limit", read: intoInt(&r.Limit, 1, 100_000)},
		field{name: "writable", read: intoBool(&r.Writable)},
		field{name: "version", read: intoText(&r.Version, "a column that changes raise by one, or set to now")},
		field{name: "cache", read: readCache(func(own *Cache) { kept.each[name] = own }, nil)},
	)
	switch {
	case r.Version != "" && !r.Writable:
		v.wrong("version is for what can be written: say writable: true, or leave it out")
	case r.Writable && r.Many:
		v.wrong("what has many rows for a key cannot be written: leave out writable, or many")
	}
	return r
}

// readKey takes one column or a list of them.
func readKey(to *[]string) func(value) {
	return func(v value) {
		if v.node.Kind == yaml.SequenceNode {
			intoTexts(to, "columns")(v)
			return
		}
		var column string
		if intoText(&column, "a column or a list of columns")(v); column != "" {
			*to = []string{column}
		}
	}
}
