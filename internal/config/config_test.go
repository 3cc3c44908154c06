package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/internal/region"
	"github.com/fulcrum-data/fulcrum/store"
)

// variables is an environment.
func variables(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

const (
	hashA = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" // of "secret"
	hashB = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of "test"
)

var testEnv = variables(map[string]string{"PASSWORD": "pa$$(x)", "HASH": hashA, "ON": "true", "EMPTY": "", "KEYS": "77"})

const users = "resources: {users: {table: users, key: id, columns: [id]}}\n"

func TestExample(t *testing.T) {
	text, err := os.ReadFile("../../fulcrum.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("fulcrum.example.yaml", text, variables(map[string]string{"SHOP_TOKEN_SHA256": hashA, "REPORTS_TOKEN_SHA256": hashB}))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Tokens) != 2 || c.Tokens[0].Name != "shop" || len(c.Tokens[0].Allow) != 2 || c.Tokens[0].SHA256[0] != 0x2b {
		t.Errorf("tokens: %+v", c.Tokens)
	}
	want := []store.Resource{
		{Name: "users", Table: "users", Key: []string{"id"}, Columns: []string{"id", "name", "email", "bio", "updated_at"}},
		{Name: "orders_by_user", Table: "orders", Key: []string{"user_id"}, Columns: []string{"id", "total", "created_at"}, Many: true, Order: "created_at desc", Limit: 20},
		{Name: "memberships", Table: "memberships", Key: []string{"tenant", "user_id"}, Columns: []string{"role"}},
	}
	if !reflect.DeepEqual(c.Resources, want) {
		t.Errorf("resources: %+v", c.Resources)
	}
}

// What the example shows as commented out is right, and is the default.
func TestExampleDefaults(t *testing.T) {
	text, err := os.ReadFile("../../fulcrum.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	env := variables(map[string]string{"SHOP_TOKEN_SHA256": hashA, "REPORTS_TOKEN_SHA256": hashB})
	plain, err := Parse("a", text, env)
	if err != nil {
		t.Fatal(err)
	}
	full := string(text)
	for _, line := range []string{"insecure: ", "pool: ", "policy:", "  mode: ", "  max_batch: ", "  linger: ", "  max_queued: ",
		"  max_waiters: ", "tuner:", "  kind: ", "  min_in_flight: ", "  reserved: ", "  prefer: ", "stress:", "  slow_at: ", "  call_timeout: ", "  circuit: ", "usage: ", "cache:", "  entries: ", "  ttl: ", "  negative_ttl: ", "  stale_while_revalidate: ", "  stale_if_degraded: ", "  urgent_cached: ", "limits:", "  keys: ", "  body: ", "  header: ", "  timeout: ", "  shutdown: ", "log: "} {
		if strings.Count(full, "\n# "+line) != 1 {
			t.Errorf("no line %q", line)
		}
		full = strings.Replace(full, "\n# "+line, "\n"+line, 1)
	}
	c, err := Parse("a", []byte(full), env)
	if err != nil {
		t.Fatal(err)
	}
	if c.Insecure || c.Pool != plain.Pool || c.Log != plain.Log || c.Limits.Shutdown != plain.Limits.Shutdown {
		t.Errorf("%+v\nwant %+v", c, plain)
	}
	if want := (Limits{10_000, 1 << 20, 16 << 10, 30 * time.Second, 15 * time.Second}); c.Limits != want {
		t.Errorf("limits %+v", c.Limits)
	}
	if want := (fulcrum.BackendConfig{MinInFlight: 1, Reserved: 2, SlowAt: 500 * time.Millisecond, CallTimeout: 2 * time.Second}); !reflect.DeepEqual(c.Backend, want) {
		t.Errorf("backend %+v", c.Backend)
	}
	near, err := cache.New(cache.Config[store.Key, []byte]{Entries: c.Caches["users"].Entries})
	if err != nil || !reflect.DeepEqual(c.Caches["users"], near.Config()) {
		t.Errorf("cache %+v, want %+v (%v)", c.Caches["users"], near.Config(), err)
	}
	c.Policy.InFlight, c.Policy.Reserved = 4, 2 // which no file can say
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{Fetch: fulcrum.FetchMap[int, int](nil)})
	if err != nil || r.Policy() != c.Policy {
		t.Errorf("policy %+v, want %+v (%v)", c.Policy, r.Policy(), err)
	}
}

func TestEveryField(t *testing.T) {
	c, err := Parse("f.yaml", []byte(`
listen: 0.0.0.0:80
admin: "[::1]:81"
insecure: ${ON}
tokens: [{name: 'a', sha256: "${HASH}", scope: acme, allow: ["users:read", "*:read"]}]
store: "postgres://u:${PASSWORD}@h/d?x=$${y}"
pool: {min: 0, max: 3, timeout: 250ms}
journal: /var/j
policy: {mode: throughput, max_batch: 10, linger: 5ms, max_queued: 6, max_waiters: 7, max_queue_time: 0, urgent_cached: true}
tuner: {kind: threshold, in_flight: 3, min_in_flight: 2, max_in_flight: 9, reserved: 0, slo: p99=20ms, urgent_slo: "p99 <= 5ms", prefer: cost}
stress: {slow_at: 1s, call_timeout: 3s, circuit: false}
regions:
  east: {mode: latency, max_batch: 9, linger: 3ms, slo: p95=1s, areas: [de, us-ca, "fly:fra"]}
  default: {}
trusted_proxies: [10.0.0.0/8, "::1"]
geoip: a.mmdb
usage: true
limits: {keys: "${KEYS}", body: 2MiB, header: 4096, timeout: 1m30s, shutdown: 2s}
scope: {setting: app.tenant, from: token}
log: {level: debug, format: json}
resources:
  users: {table: public.users, key: id, columns: [id, 2020-01-01, 7, no], writable: false}
  lists: {table: t, key: [a, b], many: true, columns: [c], order: c desc, limit: 5, cache: {bytes: 1MiB, negative_ttl: 0, stale_while_revalidate: 0}}
  loose: {table: l, key: a, columns: [c], cache: false}
cache: {entries: 5, ttl: 2s, negative_ttl: 1s, stale_while_revalidate: 3s, stale_if_degraded: 4s, redis: "rediss://u:${PASSWORD}@r:1/2", namespace: shop-1, redis_timeout: 20ms}
`), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	c.at = nil
	want := &Config{
		File: "f.yaml", Listen: "0.0.0.0:80", Admin: "[::1]:81", Insecure: true,
		Tokens: []Token{{Name: "a", SHA256: c.Tokens[0].SHA256, Scope: "acme", Allow: []string{"users:read", "*:read"}}},
		Store:  Store{Kind: Postgres, DSN: "postgres://u:pa$$(x)@h/d?x=${y}"},
		Pool:   Pool{-1, 3, 250 * time.Millisecond},
		Policy: fulcrum.Policy{Mode: fulcrum.ModeThroughput, MaxBatch: 10, Linger: 5 * time.Millisecond, MaxQueued: 6, MaxWaiters: 7, MaxQueueTime: -1, UrgentCached: true},
		Backend: fulcrum.BackendConfig{
			Tuner: fulcrum.TunerThreshold, InFlight: 3, MinInFlight: 2, MaxInFlight: 9, Reserved: -1, P99: 20 * time.Millisecond, UrgentP99: 5 * time.Millisecond,
			FewerQueries: true, SlowAt: time.Second, CallTimeout: 3 * time.Second, NoCircuit: true,
		},
		Regions: []region.Region{
			{Name: "east", Policy: region.Policy{Mode: fulcrum.ModeLatency, MaxBatch: 9, Linger: 3 * time.Millisecond, SLO: region.SLO{Percentile: 95, Target: time.Second}}, Areas: []region.Area{"DE", "US-CA", "fly:fra"}},
			{Name: "default"},
		},
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, GeoIP: "a.mmdb", Usage: true, Journal: "/var/j",
		Limits: Limits{77, 2 << 20, 4096, 90 * time.Second, 2 * time.Second},
		Scope:  Scope{"app.tenant"}, Log: Log{"debug", "json"},
		Resources: []store.Resource{
			{Name: "users", Table: "public.users", Key: []string{"id"}, Columns: []string{"id", "2020-01-01", "7", "no"}},
			{Name: "lists", Table: "t", Key: []string{"a", "b"}, Many: true, Columns: []string{"c"}, Order: "c desc", Limit: 5},
			{Name: "loose", Table: "l", Key: []string{"a"}, Columns: []string{"c"}},
		},
		Caches: Caches{
			"users": {Entries: 5, TTL: 2 * time.Second, NegativeTTL: time.Second, StaleWhileRevalidate: 3 * time.Second, StaleIfDegraded: 4 * time.Second},
			"lists": {Bytes: 1 << 20, NegativeTTL: -1},
		},
		Shared: Shared{"rediss://u:pa$$(x)@r:1/2", "shop-1", 20 * time.Millisecond},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("\n got %#v\nwant %#v", c, want)
	}
}

func TestDefaults(t *testing.T) {
	c, err := Parse("a", []byte("store: sqlite:a b.db\n"+users), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	c.at, c.Resources = nil, nil
	want := &Config{
		File: "a", Store: Store{Kind: SQLite, Path: "a b.db"}, Pool: Pool{10, 50, 30 * time.Second},
		Limits: Limits{Shutdown: 15 * time.Second}, Log: Log{"info", "text"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("\n got %#v\nwant %#v", c, want)
	}
	if c, err = Parse("a", []byte("store: sqlite:a\npool: {max: 4}\n"+users), testEnv); err != nil || c.Pool.Min != 4 {
		t.Errorf("%+v %v", c, err)
	}
}

// A secret cannot be printed by accident, nor does an error quote it.
func TestSecretsStayHidden(t *testing.T) {
	c, err := Parse("a", []byte("store: postgres://bob:hunter2@db:5433/shop?password=hunter2\n"+users), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, *c) + fmt.Sprintf(verb, c.Store.DSN); strings.Contains(text, "hunter2") {
			t.Errorf("%s: %s", verb, text)
		}
	}
	if s := c.Store.String(); s != "postgres://db:5433/shop" {
		t.Error(s)
	}
	for _, text := range []string{
		"store: postgres://u:hunter2%zz@h/d\n" + users,
		"store: sqlite:a\ncache: {entries: 1, redis: 'redis://:hunter2%zz@h/0'}\n" + users,
		"store: sqlite:a\ncache: {entries: 1, redis: hunter2}\n" + users,
		"store: sqlite:a\ncache: {entries: 1, redis: 'redis://h/hunter2'}\n" + users,
		"store: hunter2\n" + users,
		"store: hunter2:hunter2@/\n" + users,
		"store: sqlite:a\ntokens: [{name: a, sha256: hunter2, allow: ['*:read']}]\n" + users,
		"store: sqlite:a\nlimits: {keys: '${P}', timeout: '${P}', body: '${P}'}\npolicy: {mode: '${P}'}\ninsecure: ${P}\n" + users,
		"store: sqlite:a\ntokens: [{name: a, sha256: '${P}', allow: ['${P}', '${P}:read']}]\n" + users,
	} {
		_, err := Parse("a", []byte(text), variables(map[string]string{"P": "hunter2"}))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(file, []byte("store: sqlite:${FULCRUM_TEST_FILE}\n"+users), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FULCRUM_TEST_FILE", "x.db")
	c, err := Load(file)
	if err != nil || c.Store.Path != "x.db" || c.File != file {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := Load(file + "x"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), file+"x") {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("# "+strings.Repeat("x", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Error(err)
	}
}

// What a store finds out later gets its place too.
func TestPlace(t *testing.T) {
	c, err := Parse("f.yaml", []byte("store: sqlite:a\nresources:\n  users:\n    table: users\n    key: id\n    columns: [id]\n"), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	wrong := func(field string) error {
		return fmt.Errorf("gateway: %w", &store.ConfigError{Resource: "users", Field: field, Problem: "is odd"})
	}
	whole := fmt.Errorf("%w: %w", errors.New("one"), errors.New("two"))
	var lines []string
	for _, e := range c.Place(errors.Join(errors.Join(wrong("columns"), wrong("order")), whole)) {
		lines = append(lines, e.Error())
	}
	want := "f.yaml:6:5: resources.users.columns: is odd\nf.yaml:3:3: resources.users.order: is odd\none: two"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if c.Place(nil) != nil {
		t.Error("problems of nothing")
	}
	if got := c.Problem("nothing.at.all", "x").Error(); got != "f.yaml: nothing.at.all: x" {
		t.Error(got)
	}
}
