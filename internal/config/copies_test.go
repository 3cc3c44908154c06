package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

func TestReads(t *testing.T) {
	const replicas = "replicas: [{name: a, store: 'postgres://a/x', region: eu}, {name: b, store: 'postgres://b/x'}]\n"
	both := []Replica{{"a", "postgres://a/x", "eu"}, {"b", "postgres://b/x", ""}}
	for _, c := range []struct {
		text string
		want Reads
		err  string
	}{
		{"", Reads{}, ""},
		{replicas, Reads{Replicas: both}, ""},
		{replicas + "reads: {region: eu, max_lag: 2s, max_lag_bytes: 64KiB, primary_share: 0.2, read_primary: true, hedge: 0.02, cookie: true}", Reads{both, fulcrum.Choice{
			Region: "eu", MaxLag: 2 * time.Second, MaxLagBytes: 64 << 10, PrimaryShare: 0.2, ReadPrimary: true, Hedge: 0.02,
		}, true}, ""},
		{replicas + "reads: {max_lag_bytes: 0}", Reads{Replicas: both, Choice: fulcrum.Choice{MaxLagBytes: -1}}, ""},
		{"reads: {cookie: true}", Reads{Cookie: true}, ""},
		{"replicas: [{}]", Reads{}, "f.yaml:3:12: replicas[0].name: is missing: give it a name, for figures and logs\nf.yaml:3:12: replicas[0].store: is missing: name the database: " + wantReplica},
		{"replicas: [{name: primary, store: 'postgres://a/x'}]", Reads{}, "\"primary\" is what store is called"},
		{"replicas: [{name: a, store: 'postgres://a/x'}, {name: a, store: 'postgres://b/x'}]", Reads{}, "there is a replica \"a\" already"},
		{"replicas: [{name: a, store: 'sqlite:x'}]", Reads{}, "is no address of a replica: want " + wantReplica},
		{"replicas: [{name: a, store: 'postgres://u:secret%@a/x'}]", Reads{}, "is no address of a replica"},
		{"reads: {max_lag: 2s}", Reads{}, "says how to choose among replicas, and there are none"},
		{replicas + "reads: {hedge: 0.2}", Reads{}, "want a part of all, above 0 and at most 0.1"},
		{replicas + "reads: {primary_share: NaN}", Reads{}, "want a part of all, above 0 and at most 1"},
	} {
		text := "store: postgres://h/d\nresources: {users: {table: t, key: id, columns: [id]}}\n" + c.text
		got, err := Parse("f.yaml", []byte(text), variables(nil))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v, want %q", c.text, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got.Reads, c.want) {
			t.Errorf("%s: %+v, %v", c.text, got, err)
		}
	}
	wantProblems(t, sqliteAnd+replicas, "f:3:11: replicas: an SQLite file has no replicas: leave them out, or name a PostgreSQL database as store")
}
