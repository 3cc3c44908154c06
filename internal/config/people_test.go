package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestPeople(t *testing.T) {
	for _, c := range []struct {
		text string
		want *People
		err  string
	}{
		{"", nil, ""},
		{"experience: {}", &People{}, ""},
		{"experience: {origins: [https://shop.example, 'http://127.0.0.1:8000']}", &People{Origins: []string{"https://shop.example", "http://127.0.0.1:8000"}}, ""},
		{"experience: {keep: visits.db}", &People{Keep: "visits.db"}, ""},
		{"experience: {keep: store}", &People{Keep: KeepInStore}, ""},
		{"experience: {keep: ''}", nil, "store, or a file of its own"},
		{"experience: {keep: [a]}", nil, "experience.keep"},
		{"experience: {origins: ['*']}", nil, "experience.origins[0]"},
		{"experience: {origins: [https://shop.example/]}", nil, "a scheme and a host alone"},
		{"experience: {origins: [https://a@shop.example]}", nil, "a scheme and a host alone"},
		{"experience: {origins: [file://shop.example]}", nil, "a scheme and a host alone"},
		{"experience: {origin: []}", nil, "origins"},
		{"experience: true", nil, "experience"},
	} {
		got, err := Parse("f.yaml", []byte("store: sqlite:a\nresources: {users: {table: t, key: id, columns: [id]}}\n"+c.text), variables(nil))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.text, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got.People, c.want) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}
