package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// read is the whole file.
func (c *Config) read(v value) {
	kept := caching{each: map[string]*Cache{}}
	v.fields(
		field{name: "listen", read: intoText(&c.Listen, "host:port, such as 127.0.0.1:8080")},
		field{name: "admin", read: intoText(&c.Admin, "host:port, such as 127.0.0.1:8081")},
		field{name: "insecure", read: intoBool(&c.Insecure)},
		field{name: "tokens", read: c.readTokens},
		field{name: "store", read: c.readStore, missing: "name a database: sqlite:FILE or postgres://…"},
		field{name: "pool", read: c.readPool},
		field{name: "replicas", read: c.readReplicas},
		field{name: "reads", read: c.readReads},
		field{name: "policy", read: c.readPolicy},
		field{name: "tuner", read: c.readTuner},
		field{name: "stress", read: c.readStress},
		field{name: "usage", read: intoBool(&c.Usage)},
		field{name: "journal", read: intoText(&c.Journal, "a folder for the journals of what is written")},
		field{name: "limits", read: c.readLimits},
		field{name: "scope", read: c.readScope},
		field{name: "log", read: c.readLog},
		field{name: "cache", read: readCache(func(all *Cache) { kept.all = all }, &c.Shared)},
		field{name: "resources", read: c.readResources(&kept), missing: "name at least one, with its table, key and columns"},
		field{name: "regions", read: c.readRegions},
		field{name: "trusted_proxies", read: c.readProxies},
		field{name: "geoip", read: intoText(&c.GeoIP, "a MaxMind database, such as GeoLite2-Country.mmdb")},
		field{name: "experience", read: c.readPeople},
	)
	c.Caches = kept.caches(c.Resources)
	v.later = append(v.later, func() { c.checkScope(v) })
}

const wantStore = "sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE"

// readStore never shows its value: there may be a password in it.
func (c *Config) readStore(v value) {
	s, ok := v.text(wantStore)
	if !ok {
		return
	}
	scheme, rest, _ := strings.Cut(s, ":")
	switch scheme {
	case "sqlite":
		if rest == "" {
			v.wrong("names no file: want sqlite:FILE")
		}
		c.Store = Store{Kind: SQLite, Path: rest}
	case "postgres", "postgresql":
		if u, err := url.Parse(s); err != nil || !strings.HasPrefix(rest, "//") || u.Opaque != "" {
			v.wrong("is no address of a database: want postgres://USER:PASSWORD@HOST/DATABASE, percent-encoded where they hold / @ : ? # or %%")
		}
		c.Store = Store{Kind: Postgres, DSN: Secret(s)}
	case "mysql", "mariadb":
		v.wrong("MySQL and MariaDB are not built yet: want %s", wantStore)
	default:
		v.wrong("is no known kind of database: want %s", wantStore)
	}
}

func (c *Config) readPool(v value) {
	v.fields(
		field{name: "min", read: intoCount(&c.Pool.Min, 1000)},
		field{name: "max", read: intoInt(&c.Pool.Max, 1, 1000)},
		field{name: "timeout", read: intoDuration(&c.Pool.Timeout, time.Millisecond, 10*time.Minute)},
	)
	if limit := c.Pool.Max; limit > 0 && c.Pool.Min > limit || limit == 0 && c.Pool.Min > defaultPoolMax {
		orDefault(&limit, defaultPoolMax)
		v.wrong("min %d is more than max %d", c.Pool.Min, limit)
	}
}

// readPolicy has the library's own bounds.
func (c *Config) readPolicy(v value) {
	p, mode := &c.Policy, ""
	v.fields(
		field{name: "mode", read: intoChoice(&mode, modeWords...)},
		field{name: "max_batch", read: intoInt(&p.MaxBatch, 1, 100_000)},
		field{name: "linger", read: intoDuration(&p.Linger, 2*time.Millisecond, time.Second)},
		field{name: "max_queued", read: intoInt(&p.MaxQueued, 1, 100_000_000)},
		field{name: "max_waiters", read: intoInt(&p.MaxWaiters, 1, 100_000_000)},
		field{name: "urgent_cached", read: intoBool(&p.UrgentCached)},
		field{name: "max_queue_time", read: intoSpanOrNone(&p.MaxQueueTime, time.Millisecond, time.Minute)},
	)
	p.Mode = modes[mode]
}

// modes by their names; the zero mode is balanced.
var (
	modeWords = []string{"latency", "throughput", "balanced"}
	modes     = map[string]fulcrum.Mode{"latency": fulcrum.ModeLatency, "throughput": fulcrum.ModeThroughput}
)

// intoSpanOrNone reads a duration, or 0, which is -1 where the zero value means the
// default.
func intoSpanOrNone(to *time.Duration, low, high time.Duration) func(value) {
	return func(v value) {
		if v.node.Value == "0" {
			*to = -1
			return
		}
		intoDuration(to, low, high)(v)
	}
}

func (c *Config) readLimits(v value) {
	v.fields(
		field{name: "keys", read: intoInt(&c.Limits.Keys, 1, 1_000_000)},
		field{name: "body", read: intoSize(&c.Limits.Body, 1, 1<<30)},
		field{name: "header", read: intoSize(&c.Limits.Header, 1<<10, 1<<20)},
		field{name: "timeout", read: intoDuration(&c.Limits.Timeout, time.Millisecond, 10*time.Minute)},
		field{name: "shutdown", read: intoDuration(&c.Limits.Shutdown, time.Millisecond, 10*time.Minute)},
	)
}

func (c *Config) readLog(v value) {
	v.fields(
		field{name: "level", read: intoChoice(&c.Log.Level, "debug", "info", "warn", "error")},
		field{name: "format", read: intoChoice(&c.Log.Format, "text", "json")},
	)
}

// intoCount reads a number that may be none: 0, which is -1 where the zero value
// means the default.
func intoCount(to *int, high int) func(value) {
	return func(v value) {
		*to = -1
		if intoInt(to, 0, high)(v); *to == 0 {
			*to = -1
		}
	}
}

// settingName is a parameter that a database does not know itself.
var settingName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*(\.[a-zA-Z_][a-zA-Z0-9_]*)+$`)

func (c *Config) readScope(v value) {
	from := ""
	v.fields(
		field{name: "setting", missing: "name the setting that row-level security reads, such as app.tenant", read: func(v value) {
			intoText(&c.Scope.Setting, "a setting's name, such as app.tenant")(v)
			if c.Scope.Setting != "" && !settingName.MatchString(c.Scope.Setting) {
				v.wrong("%s: want two or more words with dots between, such as app.tenant", v.shown())
			}
		}},
		field{name: "from", read: intoChoice(&from, "token")},
	)
}

// checkScope sees to it that scopes are everywhere or nowhere: a request without
// one would see every tenant's rows, or none.
func (c *Config) checkScope(root value) {
	used := c.Scope.Setting != ""
	place := func(path, text string) {
		p := (&Config{File: c.File, at: root.at}).Problem(path, text)
		root.problems = append(root.problems, p)
	}
	if used && c.Store.Kind == SQLite {
		place("scope", "SQLite has no row-level security: leave it out")
	}
	if used && len(c.Tokens) == 0 {
		place("scope", "comes from tokens, and there are none")
	}
	for _, t := range c.Tokens {
		switch path := "tokens." + t.Name; {
		case t.Name == "":
		case used && t.Scope == "":
			place(path, "its scope is missing: name the tenant")
		case !used && t.Scope != "":
			place(path, "its scope has no effect: add scope: {setting: app.tenant, from: token}, or leave it out")
		}
	}
}

// emptyHash is the hash of a token that somebody forgot.
var emptyHash = sha256.Sum256(nil)

func (c *Config) readTokens(v value) {
	v.each("tokens", func(v value) {
		var t Token
		v.fields(
			field{name: "name", read: intoText(&t.Name, "a name for the logs"), missing: "say whose it is"},
			field{name: "sha256", read: func(v value) { readHash(v, &t.SHA256) }, missing: `printf %s "$TOKEN" | sha256sum makes it`},
			field{name: "scope", read: intoText(&t.Scope, "a tenant")},
			field{name: "allow", read: c.readAllow(&t.Allow), missing: `say what it may do, such as ["users:read"]`},
		)
		for _, other := range c.Tokens {
			if t.Name != "" && t.Name == other.Name {
				v.wrong("the name %s is taken by another token", t.Name)
			}
			if t.SHA256 != [32]byte{} && t.SHA256 == other.SHA256 {
				v.wrong("it is the same token as %s: one token, one client", other.Name)
			}
		}
		v.at["tokens."+t.Name] = position{v.node.Line, v.node.Column}
		c.Tokens = append(c.Tokens, t)
	})
}

func readHash(v value, to *[32]byte) {
	const want = "the 64 hexadecimal digits of a SHA-256"
	s, ok := v.text(want)
	if !ok {
		return
	}
	hash, err := hex.DecodeString(s)
	if err != nil || len(hash) != len(to) {
		v.wrong(`want %s (printf %%s "$TOKEN" | sha256sum)`, want) // it may be the token itself: not shown
		return
	}
	copy(to[:], hash)
	if *to == emptyHash {
		v.wrong("is the hash of nothing: the token was empty when it was made")
	}
}

// readAllow reads grants. Their resources are looked up when all are known.
func (c *Config) readAllow(to *[]string) func(value) {
	const want = `RESOURCE:read, RESOURCE:write, "*:read", "*:write" or admin`
	return func(v value) {
		v.each("grants such as users:read", func(v value) {
			s, ok := v.text(want)
			if !ok {
				return
			}
			name, operation, _ := strings.Cut(s, ":")
			if s == "admin" {
				*to = append(*to, s)
				return
			}
			if name == "" || operation != "read" && operation != "write" {
				v.wrong("%s: want %s", v.shown(), want)
			}
			*to = append(*to, s)
			v.later = append(v.later, func() { c.checkGrant(v, name, operation) })
		})
	}
}

func (c *Config) checkGrant(v value, name, operation string) {
	var known []string
	for _, r := range c.Resources {
		known = append(known, r.Name)
		if r.Name == name && operation == "write" && !r.Writable {
			v.wrong("%s is not writable: say writable: true there, or take the grant back", name)
		}
	}
	if name != "" && name != "*" && !slices.Contains(known, name) {
		v.wrong("there is no resource %s; %s", v.shown(), hint(name, known))
	}
}
