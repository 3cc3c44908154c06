package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum"
)

const sqliteAnd = "store: sqlite:a\n" + users // two lines

// Every refusal, word for word. The text is what follows two right lines.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown field", "polcy: {}", "f:3:1: polcy: unknown field; did you mean policy?"},
		{"swapped letters", "lsiten: x", "f:3:1: lsiten: unknown field; did you mean listen?"},
		{"capitals", "Listen: x", "f:3:1: Listen: unknown field; did you mean listen?"},
		{"nothing like it", "frobnicate: x", "f:3:1: frobnicate: unknown field; there are listen, admin, insecure, tokens, store, pool, replicas, reads, policy, tuner, stress, usage, journal, limits, scope, log, cache, resources, regions, trusted_proxies, geoip, experience"},
		{"unknown field inside", "policy: {mode: latency, max_batc: 3}", "f:3:25: policy.max_batc: unknown field; did you mean max_batch?"},
		{"twice", "listen: a:1\nlisten: b:1", "f:4:1: listen: is there already, in line 3"},
		{"twice inside", "log: {level: info, level: info}", "f:3:20: log.level: is there already, in line 3"},
		{"region", "regions: {a b: {}, east: {mode: fast, slo: p90=1s, areas: [XX]}}", "f:3:11: regions.a b: want a name of up to 63 letters, digits, dots, - and _, such as us-east\n" +
			`f:3:33: regions.east.mode: "fast": want latency, throughput or balanced` + "\n" +
			`f:3:44: regions.east.slo: "p90=1s": want a percentile and a duration, such as p99=20ms; there are p50, p95 and p99` + "\n" +
			`f:3:60: regions.east.areas[0]: "XX": want a continent (africa, antarctica, asia, europe, north-america, oceania, south-america), a country such as DE, a subdivision such as US-CA, or one of Fly's regions such as fly:iad`},
		{"area twice", "regions:\n  a: {areas: [DE]}\n  b: {areas: [DE]}", "f:5:7: regions.b.areas: DE is served by a already"},
		{"proxies", "trusted_proxies: [10.0.0.1/8, here]", `f:3:19: trusted_proxies[0]: "10.0.0.1/8": want one of addresses or networks, such as 10.0.0.0/8` + "\n" +
			`f:3:31: trusted_proxies[1]: "here": want one of addresses or networks, such as 10.0.0.0/8`},
		{"tuner", "tuner: {kind: fast, slo: p95=20ms, urgent_slo: soon}", `f:3:15: tuner.kind: "fast": want auto, fixed or threshold` + "\n" +
			`f:3:26: tuner.slo: "p95=20ms": the tuner keeps the 99th percentile: want a promise such as p99=20ms` + "\n" +
			`f:3:48: tuner.urgent_slo: "soon": want a percentile and a duration, such as p99=20ms; there are p50, p95 and p99`},
		{"K of auto", "tuner: {in_flight: 3}", "f:3:8: tuner: in_flight is for kind fixed or threshold: auto finds it between min_in_flight and max_in_flight"},
		{"K out of bounds", "tuner: {kind: fixed, in_flight: 3, max_in_flight: 2}", "f:3:8: tuner: in_flight 3 is more than max_in_flight 2"},
		{"bounds of K", "tuner: {min_in_flight: 3, max_in_flight: 2}", "f:3:8: tuner: min_in_flight 3 is more than max_in_flight 2"},
		{"stress", "stress: {slow_at: 1us, circuit: maybe}", `f:3:19: stress.slow_at: "1us": want a duration between 1ms and 1h, such as 10s` + "\n" + `f:3:33: stress.circuit: "maybe": want true or false`},
		{"cache without a size", "cache: {ttl: 1m}", "f:3:8: cache: entries or bytes is missing: say how much of each resource may be kept, or cache: false"},
		{"cache of two sizes", "cache: {entries: 1, bytes: 1KiB}", "f:3:8: cache: entries and bytes are both there: say one of them"},
		{"no cache", "cache: true", "f:3:8: cache: want entries or bytes, such as {entries: 20000}, or false"},
		{"no Redis", "cache: {entries: 1, redis: http://h}", "f:3:28: cache.redis: is no address of a Redis: want redis://USER:PASSWORD@HOST:6379/0, rediss:// with TLS, or unix:///path/of/redis.sock, percent-encoded where they hold / @ : ? # or %"},
		{"a Redis that nobody named", "cache: {entries: 1, namespace: a}", "f:3:8: cache: namespace and redis_timeout are of a Redis, and there is none: name it, as redis: redis://…, or leave them out"},
		{"a namespace with spaces", "cache: {entries: 1, redis: redis://h, namespace: a b, redis_timeout: 1h}", `f:3:50: cache.namespace: "a b": want letters, digits, - and _, such as shop` + "\n" +
			`f:3:70: cache.redis_timeout: "1h": want a duration between 1ms and 10s, such as 10s`},
		{"cache for too long", "cache: {entries: 1, ttl: 25h, stale_if_degraded: soon}", `f:3:26: cache.ttl: "25h": want a duration between 1ms and 24h, such as 10s` + "\n" +
			`f:3:50: cache.stale_if_degraded: "soon": want a duration between 1ms and 24h, such as 10s`},
		{"what is not there for longer", "cache: {entries: 1, ttl: 1s, negative_ttl: 2s}", "f:3:8: cache: negative_ttl 2s is more than ttl 1s"},
		{"what is not there for longer than by default", "cache: {entries: 1, negative_ttl: 2m}", "f:3:8: cache: negative_ttl 2m is more than ttl 1m"},
		{"empty", "listen:", "f:3:8: listen: is empty: want host:port, such as 127.0.0.1:8080, or leave it out"},
		{"empty text", "listen: ''", "f:3:9: listen: is empty: want host:port, such as 127.0.0.1:8080"},
		{"object as text", "listen: {a: b}", "f:3:9: listen: want host:port, such as 127.0.0.1:8080"},
		{"bool as text", "listen: true", "f:3:9: listen: want host:port, such as 127.0.0.1:8080; put true in quotes if it is meant as text"},
		{"tag", "listen: !x y", "f:3:9: listen: want host:port, such as 127.0.0.1:8080, without a tag"},
		{"NUL", `listen: "a\0b"`, "f:3:9: listen: holds a NUL"},
		{"text as object", "pool: 10", "f:3:7: pool: want fields, each with a name and a value"},
		{"list as object", "pool: [10]", "f:3:7: pool: want fields, each with a name and a value"},
		{"object as list", "tokens: {name: a}", "f:3:9: tokens: want a list of tokens"},
		{"empty list", "tokens: []", "f:3:9: tokens: names nothing: want at least one of tokens"},
		{"alias", "log: &a {level: info}\npool: *a", "f:3:6: log: anchors and aliases are not understood: write the value out\nf:4:7: pool: anchors and aliases are not understood: write the value out"},
		{"merge", "log: {<<: {level: info}}", "f:3:7: log: a field's name is a plain word; anchors and merges are not understood"},
		{"odd name", "[a]: 1", "f:3:1: a field's name is a plain word; anchors and merges are not understood"},
		{"no bool", "insecure: yes", `f:3:11: insecure: "yes": want true or false`},
		{"quoted bool", "insecure: 'true'", `f:3:11: insecure: "true": want true or false`},
		{"no number", "limits: {keys: many}", `f:3:16: limits.keys: "many": want a whole number between 1 and 1000000`},
		{"fraction", "limits: {keys: 1.5}", `f:3:16: limits.keys: "1.5": want a whole number between 1 and 1000000`},
		{"too much", "pool: {max: 1001}", `f:3:13: pool.max: "1001": want a whole number between 1 and 1000`},
		{"no unit", "limits: {timeout: 30}", `f:3:19: limits.timeout: "30": want a duration between 1ms and 10m, such as 10s`},
		{"short linger", "policy: {linger: 1ms}", `f:3:18: policy.linger: "1ms": want a duration between 2ms and 1s, such as 1s`},
		{"size", "limits: {body: 1MB}", `f:3:16: limits.body: "1MB": want bytes between 1 and 1073741824, such as 65536 or 64KiB`},
		{"large size", "limits: {body: 9000000000GiB}", `f:3:16: limits.body: "9000000000GiB": want bytes between 1 and 1073741824, such as 65536 or 64KiB`},
		{"mode", "policy: {mode: fast}", `f:3:16: policy.mode: "fast": want latency, throughput or balanced`},
		{"level", "log: {level: trace, format: xml}", "f:3:14: log.level: \"trace\": want debug, info, warn or error\nf:3:29: log.format: \"xml\": want text or json"},
		{"pool bounds", "pool: {min: 20, max: 10}", "f:3:7: pool: min 20 is more than max 10"},
		{"pool default", "pool: {min: 60}", "f:3:7: pool: min 60 is more than max 50"},
		{"no variable", "listen: ${NONE}:80", "f:3:9: listen: the environment variable NONE is not set"},
		{"no variable for a bool", "insecure: ${NONE}", "f:3:11: insecure: the environment variable NONE is not set"},
		{"half a variable", "listen: ${NO", "f:3:9: listen: ${ begins a variable, but no name and } follow: want ${NAME}, or $${ for the characters themselves"},
		{"odd variable", "listen: ${A-B}", "f:3:9: listen: ${ begins a variable, but no name and } follow: want ${NAME}, or $${ for the characters themselves"},
		{"empty variable", "listen: ${EMPTY}", "f:3:9: listen: is empty: want host:port, such as 127.0.0.1:8080"},
		{"token without all", "tokens: [{}]", `f:3:10: tokens[0].name: is missing: say whose it is` + "\n" +
			`f:3:10: tokens[0].sha256: is missing: printf %s "$TOKEN" | sha256sum makes it` + "\n" +
			`f:3:10: tokens[0].allow: is missing: say what it may do, such as ["users:read"]`},
		{"bad hash", "tokens: [{name: a, sha256: abc, allow: ['*:read']}]", `f:3:28: tokens[0].sha256: want the 64 hexadecimal digits of a SHA-256 (printf %s "$TOKEN" | sha256sum)`},
		{"hash of nothing", "tokens: [{name: a, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, allow: ['*:read']}]", "f:3:28: tokens[0].sha256: is the hash of nothing: the token was empty when it was made"},
		{"grant to nothing", token("x", hashA, "user:read"), `f:3:102: tokens[0].allow[0]: there is no resource "user:read"; did you mean users?`},
		{"grant to write", token("x", hashA, "users:write"), `f:3:102: tokens[0].allow[0]: users is not writable: say writable: true there, or take the grant back`},
		{"odd grant", token("x", hashA, "users"), `f:3:102: tokens[0].allow[0]: "users": want RESOURCE:read, RESOURCE:write, "*:read", "*:write" or admin`},
		{"scope without effect", "tokens: [{name: a, sha256: " + hashA + ", allow: ['*:read'], scope: t}]", "f:3:10: tokens.a: its scope has no effect: add scope: {setting: app.tenant, from: token}, or leave it out"},
		{"scope of SQLite", "scope: {setting: app.tenant}", "f:3:1: scope: SQLite has no row-level security: leave it out\nf:3:1: scope: comes from tokens, and there are none"},
		{"scope's setting", "scope: {setting: tenant, from: header}", "f:3:1: scope: SQLite has no row-level security: leave it out\nf:3:1: scope: comes from tokens, and there are none\n" +
			`f:3:18: scope.setting: "tenant": want two or more words with dots between, such as app.tenant` + "\n" + `f:3:32: scope.from: "header": want token`},
	} {
		t.Run(c.name, func(t *testing.T) { wantProblems(t, sqliteAnd+c.text+"\n", c.want) })
	}
}

func token(name, hash, grant string) string {
	return "tokens: [{name: " + name + ", sha256: " + hash + ", allow: [" + "'" + grant + "']}]"
}

func wantProblems(t *testing.T, text, want string) {
	t.Helper()
	_, err := Parse("f", []byte(text), testEnv)
	var problems Problems
	if !errors.As(err, &problems) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Refusals of whole files.
func TestProblemsOfFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "f: it is empty: name a store and resources"},
		{"comment", "# nothing\n", "f: it is empty: name a store and resources"},
		{"nothing needed", "{}", "f:1:1: store: is missing: name a database: sqlite:FILE or postgres://…\nf:1:1: resources: is missing: name at least one, with its table, key and columns"},
		{"text", "hello", "f:1:1: want fields, each with a name and a value"},
		{"not UTF-8", "a: b\nc: \xff\n", "f:2:1: it is not UTF-8"},
		{"two documents", sqliteAnd + "---\na: 1\n", "f:3:1: a second document begins here: a configuration is one"},
		{"syntax", "store: [a\nb: c", "f:2:2: it is not YAML: did not find expected ',' or ']' while parsing a flow sequence that begins in line 1"},
		{"tab", "pool:\n\tmin: 1", "f:2:1: it is not YAML: found character that cannot start any token while scanning for the next token that begins in line 2"},
		{"no store", "store: fulcrum.db\n" + users, "f:1:8: store: is no known kind of database: want sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE"},
		{"no file", "store: 'sqlite:'\n" + users, "f:1:8: store: names no file: want sqlite:FILE"},
		{"mysql", "store: mysql://u@h/d\n" + users, "f:1:8: store: MySQL and MariaDB are not built yet: want sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE"},
		{"bad address", "store: postgres:h/d\n" + users, "f:1:8: store: is no address of a database: want postgres://USER:PASSWORD@HOST/DATABASE, percent-encoded where they hold / @ : ? # or %"},
		{"no resources", "store: sqlite:a\nresources: {}", "f:2:12: resources: names nothing: want at least one"},
		{"list of resources", "store: sqlite:a\nresources: [users]", "f:2:12: resources: want names, each with a table, a key and columns"},
		{"resource without all", "store: sqlite:a\nresources:\n  users: {}", "f:3:10: resources.users.table: is missing: name a table or view\n" +
			"f:3:10: resources.users.key: is missing: name the column or columns that a request gives\nf:3:10: resources.users.columns: is missing: name those that a row shows"},
		{"resource twice", "store: sqlite:a\nresources:\n  u: {table: u, key: a, columns: [a]}\n  u: {table: u, key: a, columns: [a]}", "f:4:3: resources.u: is there already, in line 3"},
		{"writable lists", "store: sqlite:a\nresources:\n  u: {table: u, key: a, columns: [a], many: true, writable: true}", "f:3:6: resources.u: what has many rows for a key cannot be written: leave out writable, or many"},
		{"a Redis for one", "store: sqlite:a\nresources:\n  u: {table: u, key: a, columns: [a], cache: {entries: 1, redis: redis://h}}", "f:3:66: resources.u.cache.redis: there is one Redis for all resources: say it in cache: at the top"},
		{"version of what is read", "store: sqlite:a\nresources:\n  u: {table: u, key: a, columns: [a, v], version: v}", "f:3:6: resources.u: version is for what can be written: say writable: true, or leave it out"},
		{"typos", "store: sqlite:a\nresources:\n  u: {tabel: u, keys: [a], colums: [a], sort: a}", "f:3:6: resources.u.table: is missing: name a table or view\n" +
			"f:3:6: resources.u.key: is missing: name the column or columns that a request gives\nf:3:6: resources.u.columns: is missing: name those that a row shows\n" +
			"f:3:7: resources.u.tabel: unknown field; did you mean table?\nf:3:17: resources.u.keys: unknown field; did you mean key?\n" +
			"f:3:28: resources.u.colums: unknown field; did you mean columns?\nf:3:41: resources.u.sort: unknown field; there are table, key, columns, many, order, limit, writable, version, cache"},
		{"wrong types", "store: sqlite:a\nresources:\n  u: {table: [u], key: {a: b}, columns: a, many: 1, limit: x}", "f:3:14: resources.u.table: want a table or view\n" +
			"f:3:24: resources.u.key: want a column or a list of columns\nf:3:41: resources.u.columns: want a list of columns\n" +
			`f:3:50: resources.u.many: "1": want true or false` + "\n" + `f:3:60: resources.u.limit: "x": want a whole number between 1 and 100000`},
		{"two tokens", sqliteAnd + "tokens:\n- {name: a, sha256: " + hashA + ", allow: ['*:read']}\n- {name: a, sha256: " + hashA + ", allow: ['*:read']}\n", "f:5:3: tokens[1]: the name a is taken by another token\nf:5:3: tokens[1]: it is the same token as a: one token, one client"},
		{"scope missing", "store: postgres://h/d\n" + users + "scope: {setting: app.tenant}\n" + token("b", hashA, "*:read"), "f:4:10: tokens.b: its scope is missing: name the tenant"},
	} {
		t.Run(c.name, func(t *testing.T) { wantProblems(t, c.text, c.want) })
	}
}

// The bounds of a policy in a file are those of the library.
func TestPolicyBounds(t *testing.T) {
	for field, bound := range map[string]struct{ good, bad []string }{
		"max_queue_time": {[]string{"0", "1ms", "1m"}, []string{"-1", "1us", "61s"}},
		"max_batch":      {[]string{"1", "100000"}, []string{"0", "100001"}},
		"linger":         {[]string{"2ms", "1s"}, []string{"1999us", "1001ms"}},
		"max_queued":     {[]string{"1", "100000000"}, []string{"0", "100000001"}},
		"max_waiters":    {[]string{"1", "100000000"}, []string{"0", "100000001"}},
	} {
		for _, text := range bound.good {
			c, err := Parse("f", []byte(sqliteAnd+"policy: {"+field+": "+text+"}"), testEnv)
			if err != nil {
				t.Error(err)
				continue
			}
			if _, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{Fetch: fulcrum.FetchMap[int, int](nil), Policy: c.Policy}); err != nil {
				t.Errorf("%s %s: the library says %v", field, text, err)
			}
		}
		for _, text := range bound.bad {
			if _, err := Parse("f", []byte(sqliteAnd+"policy: {"+field+": "+text+"}"), testEnv); err == nil {
				t.Errorf("%s %s was taken", field, text)
			}
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"table", "tabel", 1}, {"kitten", "sitting", 3}, {strings.Repeat("a", 65), "a", farApart}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	if got := hint("x", nil); got != "there are none" {
		t.Error(got)
	}
}

// Whatever a file holds, it is read or refused with problems that stand in it.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "{}", sqliteAnd, sqliteAnd + "tokens: [{name: a, sha256: " + hashA + ", allow: ['*:read']}]", "a: &a [*a]", "store: ${HASH}\n" + users, "? [a]\n: b",
		sqliteAnd + "policy: {mode: latency}\nlimits: {body: 1KiB, timeout: 1s}\npool: {min: 1}\nlog: {level: debug}", "\xef\xbb\xbfstore: a", "%YAML 1.1\n---\n{}", "- - - -", "{{{{", "a: |\n b\n",
		"!!binary x: y", "--- a\n--- b\n", "store: !!str\n", "resources: {1: {}, ~: {}, true: {}}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f", []byte(text), testEnv)
		if err == nil {
			if c.Store.Kind == "" || len(c.Resources) == 0 || c.Pool.Max < 1 || c.Limits.Shutdown <= 0 {
				t.Fatalf("incomplete: %+v", c)
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("%T %v", err, err)
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") + strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 1
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines+1 || p.Text == "" {
				t.Fatalf("a problem outside of the file: %+v", p)
			}
		}
	})
}
