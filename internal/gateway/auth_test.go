package gateway

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// guarded is testConfig with tokens: "shop" may read users, "all" everything.
func guarded(db *memory) Config {
	cfg := testConfig(db)
	cfg.Tokens = []Token{
		{Name: "shop", SHA256: sha256.Sum256([]byte("shop-secret")), Scope: "acme", Allow: []string{"users:read"}},
		{Name: "all", SHA256: sha256.Sum256([]byte("all-secret")), Allow: []string{"*:read"}},
		{Name: "none", SHA256: sha256.Sum256([]byte("none-secret"))},
	}
	return cfg
}

func TestTokens(t *testing.T) {
	h := newGateway(t, guarded(&memory{})).Data()
	for _, c := range []struct {
		name, method, target string
		authorization        []string
		status               int
		code                 string
		challenge            string
	}{
		{"none", "GET", "/v1/users/1", nil, 401, "unauthorized", `Bearer realm="fulcrum"`},
		{"none for a batch", "POST", "/v1/users:batchGet", nil, 401, "unauthorized", `Bearer realm="fulcrum"`},
		{"none for nothing", "GET", "/v1/secrets/1", nil, 401, "unauthorized", `Bearer realm="fulcrum"`},
		{"none for a wrong verb", "POST", "/v1/users:drop", nil, 401, "unauthorized", `Bearer realm="fulcrum"`},
		{"none for a wrong method", "DELETE", "/v1/users/1", nil, 401, "unauthorized", `Bearer realm="fulcrum"`},
		{"none for a wrong key", "GET", "/v1/users/x", nil, 401, "unauthorized", `Bearer realm="fulcrum"`},
		{"wrong", "GET", "/v1/users/1", []string{"Bearer shop-secre"}, 401, "unauthorized", `Bearer realm="fulcrum", error="invalid_token"`},
		{"wrong for nothing", "GET", "/v1/secrets/1", []string{"Bearer x"}, 401, "unauthorized", `Bearer realm="fulcrum", error="invalid_token"`},
		{"empty", "GET", "/v1/users/1", []string{"Bearer "}, 401, "unauthorized", `Bearer realm="fulcrum", error="invalid_token"`},
		{"its hash", "GET", "/v1/users/1", []string{fmt.Sprintf("Bearer %x", sha256.Sum256([]byte("shop-secret")))}, 401, "unauthorized", `Bearer realm="fulcrum", error="invalid_token"`},
		{"other scheme", "GET", "/v1/users/1", []string{"Basic shop-secret"}, 401, "unauthorized", `Bearer realm="fulcrum", error="invalid_token"`},
		{"no scheme", "GET", "/v1/users/1", []string{"shop-secret"}, 401, "unauthorized", `Bearer realm="fulcrum", error="invalid_token"`},
		{"two", "GET", "/v1/users/1", []string{"Bearer shop-secret", "Bearer shop-secret"}, 401, "unauthorized", `Bearer realm="fulcrum", error="invalid_token"`},
		{"right", "GET", "/v1/users/1", []string{"Bearer shop-secret"}, 200, "", ""},
		{"small letters", "GET", "/v1/users/1", []string{"bearer   shop-secret"}, 200, "", ""},
		{"everything", "GET", "/v1/members/a/1", []string{"Bearer all-secret"}, 200, "", ""},
		{"not this one", "GET", "/v1/things/a", []string{"Bearer shop-secret"}, 403, "forbidden", `Bearer realm="fulcrum", error="insufficient_scope"`},
		{"not this batch", "POST", "/v1/things:batchGet", []string{"Bearer shop-secret"}, 403, "forbidden", `Bearer realm="fulcrum", error="insufficient_scope"`},
		{"nothing at all", "GET", "/v1/users/1", []string{"Bearer none-secret"}, 403, "forbidden", `Bearer realm="fulcrum", error="insufficient_scope"`},
		{"nothing there", "GET", "/v1/secrets/1", []string{"Bearer shop-secret"}, 404, "unknown_resource", ""},
		{"a wrong key", "GET", "/v1/users/x", []string{"Bearer shop-secret"}, 400, "bad_key", ""},
		{"explanations are free", "GET", "/problems/unauthorized", nil, 200, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			for _, a := range c.authorization {
				headers = append(headers, "Authorization", a)
			}
			a := ask(t, h, c.method, c.target, `{"keys":[1]}`, headers...)
			if c.code != "" {
				wantProblem(t, a, c.status, c.code)
			} else if a.StatusCode != c.status {
				t.Errorf("%d %s", a.StatusCode, a.text)
			}
			if got := a.Header.Get("WWW-Authenticate"); got != c.challenge {
				t.Errorf("WWW-Authenticate %q, want %q", got, c.challenge)
			}
			if strings.Contains(a.text, "-secret") {
				t.Errorf("repeats a token: %s", a.text)
			}
		})
	}
}

// The scope of a query is that of the token it is asked with, in either form.
func TestScopeOfTokens(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]string{} // scope by key
	h := newGateway(t, guarded(&memory{fetch: func(ctx context.Context, keys []store.Key) error {
		mu.Lock()
		defer mu.Unlock()
		for _, k := range keys {
			seen[string(k)] = fulcrum.ScopeFrom(ctx)
		}
		return nil
	}})).Data()
	ask(t, h, "GET", "/v1/users/1", "", "Authorization", "Bearer shop-secret")
	ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[2,3]}`, "Authorization", "Bearer shop-secret")
	ask(t, h, "GET", "/v1/users/4", "", "Authorization", "Bearer all-secret")
	ask(t, h, "POST", "/v1/users:batchGet", `{"keys":[5,6]}`, "Authorization", "Bearer all-secret")
	mu.Lock()
	defer mu.Unlock()
	if want := map[string]string{"1": "acme", "2": "acme", "3": "acme", "4": "", "5": "", "6": ""}; !maps.Equal(seen, want) {
		t.Errorf("%v", seen)
	}
}

func TestTokenErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"unknown resource", func(c *Config) { c.Tokens[0].Allow = []string{"user:read"} }, `gateway: Tokens: shop: Allow: "user:read": want RESOURCE:read`},
		{"unknown operation", func(c *Config) { c.Tokens[0].Allow = []string{"users:delete"} }, `"users:delete": want RESOURCE:read`},
		{"same token", func(c *Config) { c.Tokens[1].SHA256 = c.Tokens[0].SHA256 }, "gateway: Tokens: all is there twice"},
	} {
		cfg := guarded(&memory{})
		c.change(&cfg)
		if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Who may listen where.
func TestExposure(t *testing.T) {
	for _, c := range []struct {
		listen, admin    string
		tokens, insecure bool
		want             string
	}{
		{"127.0.0.1:0", "localhost:0", false, false, ""},
		{"[::1]:0", "127.9.9.9:0", false, false, ""},
		{"0.0.0.0:0", "127.0.0.1:0", false, false, "gateway: Listen: 0.0.0.0:0 can be reached from other machines, and anybody could read everything: use 127.0.0.1, name tokens, or say insecure if that is meant"},
		{":0", "127.0.0.1:0", false, false, "gateway: Listen: :0 can be reached"},
		{"example.org:0", "127.0.0.1:0", false, false, "gateway: Listen: example.org:0 can be reached"},
		{"0.0.0.0:0", "127.0.0.1:0", true, false, ""},
		{"0.0.0.0:0", "0.0.0.0:0", true, false, "gateway: Admin: 0.0.0.0:0 can be reached from other machines, and anybody could read figures and profiles"},
		{"0.0.0.0:0", "0.0.0.0:0", false, false, "gateway: Admin: "}, // both are told
		{"0.0.0.0:0", "0.0.0.0:0", false, true, ""},
	} {
		cfg := testConfig(&memory{})
		if c.tokens {
			cfg = guarded(&memory{})
		}
		cfg.Listen, cfg.Admin, cfg.Insecure = c.listen, c.admin, c.insecure
		_, err := New(t.Context(), cfg)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The log of each request names the token's owner, and never the token.
func TestRequestLog(t *testing.T) {
	var log strings.Builder
	cfg := guarded(&memory{})
	cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g := newGateway(t, cfg)
	ask(t, g.Data(), "GET", "/v1/users/a%2Fb", "", "Authorization", "Bearer shop-secret")
	ask(t, g.Data(), "POST", "/v1/users:batchGet", "", "Authorization", "Bearer wrong-secret")
	ask(t, g.Admin(), "GET", "/healthz", "")
	for _, want := range []string{"msg=request method=GET path=/v1/users/a%2Fb status=400 ", " token=shop\n", "method=POST path=/v1/users:batchGet status=401 ", ` token=""`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 2 || strings.Contains(log.String(), "secret") {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// The slots fit the database's connections, unless they are named.
func TestFit(t *testing.T) {
	for conns, want := range map[int]string{100: "64+2", 50: "48+2", 18: "16+2", 6: "4+2", 5: "4+1", 3: "2+1", 2: "1+1", 1: "1+0"} {
		b := newGateway(t, testConfig(&memory{conns: conns})).Backend()
		if got := fmt.Sprintf("%d+%d", b.MaxInFlight, max(0, b.Reserved)); got != want {
			t.Errorf("%d connections: %s, want %s", conns, got, want)
		}
	}
	fixed, err := fit(fulcrum.BackendConfig{Tuner: fulcrum.TunerFixed}, 4)
	if err != nil || fixed.InFlight != 3 || fixed.Reserved != 1 {
		t.Errorf("%+v, %v", fixed, err)
	}
	named, err := fit(fulcrum.BackendConfig{MinInFlight: 2, MaxInFlight: 5, Reserved: -1}, 5)
	if err != nil || named.MinInFlight != 2 || named.MaxInFlight != 5 || named.Reserved != -1 {
		t.Errorf("%+v, %v", named, err)
	}
}

func TestDescribe(t *testing.T) {
	var got []string
	for _, r := range newGateway(t, testConfig(&memory{})).Describe() {
		got = append(got, r.Path+" "+strings.Join(r.Key, "; "))
	}
	want := "/v1/users/{id} id: an integer|/v1/things/{name} name: |/v1/members/{tenant}/{n} tenant: ; n: an integer"
	if strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
}

func FuzzBearer(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer ", "Bearer shop-secret", "bearer  x", "Basic eA==", "Bearer\tx", "Bearer \x00"} {
		f.Add(s)
	}
	g := newGateway(f, guarded(&memory{}))
	f.Fuzz(func(t *testing.T, header string) {
		token, ok := bearer([]string{header})
		if ok && (token == "" || !strings.HasSuffix(header, token)) {
			t.Fatalf("%q: %q", header, token)
		}
		if who := g.live.Load().guard.whose(token); who != nil && !strings.HasSuffix(token, "-secret") {
			t.Fatalf("%q is taken for %s's", token, who.name)
		}
	})
}
