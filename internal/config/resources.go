package config

import (
	"go.yaml.in/yaml/v4"

	"github.com/fulcrum-data/fulcrum/store"
)

// readResources reads what is served. Whether it fits the database, the database
// says.
func (c *Config) readResources(v value) {
	if !v.is(yaml.MappingNode, "names, each with a table, a key and columns") {
		return
	}
	if len(v.node.Content) == 0 {
		v.wrong("names nothing: want at least one")
	}
	v.members(func(name *yaml.Node, member value) {
		c.Resources = append(c.Resources, readResource(name.Value, member))
	})
}

func readResource(name string, v value) store.Resource {
	r := store.Resource{Name: name}
	v.fields(
		field{name: "table", read: intoText(&r.Table, "a table or view"), missing: "name a table or view"},
		field{name: "key", read: readKey(&r.Key), missing: "name the column or columns that a request gives"},
		field{name: "columns", read: intoTexts(&r.Columns, "columns"), missing: "name those that a row shows"},
		field{name: "many", read: intoBool(&r.Many)},
		field{name: "order", read: intoText(&r.Order, `columns, such as "created_at desc"`)},
		field{name: "limit", read: intoInt(&r.Limit, 1, 100_000)},
		field{name: "writable", read: func(v value) {
			var yes bool
			if intoBool(&yes)(v); yes {
				v.wrong("writes are not built yet: leave it out, or say false")
			}
		}},
	)
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
