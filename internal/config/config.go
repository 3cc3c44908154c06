package config

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/region"
	"github.com/fulcrum-data/fulcrum/store"
)

// Config is what a file says. Fields that the file leaves out are zero, which
// means the default of what they configure, except where a default is named here.
type Config struct {
	File      string                // as it was named
	Listen    string                // address of the data listener, host:port
	Admin     string                // address of the admin listener, host:port
	Insecure  bool                  // listeners may be reached from other machines
	Tokens    []Token               // who may ask; none: everybody
	Store     Store                 // the database
	Reads     Reads                 // where else reads may go
	Pool      Pool                  // its connections
	Policy    fulcrum.Policy        // of each resource in each region
	Backend   fulcrum.BackendConfig // how many batches the database gets at once, and what happens under stress
	Regions   []region.Region       // with policies of their own, in the file's order
	Proxies   []netip.Prefix        // whose CDN headers are believed
	GeoIP     string                // file of a MaxMind database; empty: none
	Journal   string                // folder for the journals of what is written; empty: none
	Usage     bool                  // requests are looked at, for advice
	People    *People               // what they feel is asked; nil: it is not
	Limits    Limits                // of requests
	Scope     Scope                 // row-level security; the zero Scope means none
	Log       Log                   // what is logged and how
	Resources []store.Resource      // in the file's order, at least one
	Caches    Caches                // what is kept of them
	Shared    Shared                // where gateways keep it together

	at map[string]position // of every field that is there, by its path
}

// Token is one client. Its secret is not in the file: SHA256 is the hash of it.
type Token struct {
	Name   string   // for logs
	SHA256 [32]byte // of the bearer token
	Scope  string   // the tenant, if the configuration has a scope
	Allow  []string // "users:read", "*:read"
}

// People says who may tell what they feel.
type People struct {
	Origins []string // other sites whose pages may, such as https://shop.example
	Keep    string   // an SQLite file of its own, or KeepInStore; empty: memory alone
}

// KeepInStore keeps what people told in the database that is served.
const KeepInStore = "store"

// Store names a database.
type Store struct {
	Kind string // sqlite or postgres
	Path string // of an SQLite file
	DSN  Secret // of a PostgreSQL database
}

// The kinds of stores.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// String names the database without user, password and parameters.
func (s Store) String() string {
	if s.Kind == SQLite {
		return "sqlite:" + s.Path
	}
	return s.DSN.withoutSecrets()
}

// Pool bounds the connections to the database.
type Pool struct {
	Min     int           // kept open, -1 none; default 10, or Max if that is less. SQLite opens them when needed
	Max     int           // at most; default 50
	Timeout time.Duration // for a connection, or for a lock on an SQLite file; default 30 s
}

// Limits bound what a request may ask for. Zero means the gateway's own default.
type Limits struct {
	Keys     int           // in one batchGet
	Body     int64         // bytes
	Header   int           // bytes
	Timeout  time.Duration // of a request that names none
	Shutdown time.Duration // for requests in flight at the end; default 15 s
}

// Scope says where a database's row-level security learns of the tenant.
type Scope struct {
	Setting string // such as app.tenant
}

// Log says what is logged and how.
type Log struct {
	Level  string // debug, info, warn or error; default info
	Format string // text or json; default text
}

const (
	defaultPoolMin     = 10
	defaultPoolMax     = 50
	defaultPoolTimeout = 30 * time.Second
	defaultShutdown    = 15 * time.Second

	maxFile = 1 << 20 // bytes
)

// Load reads a file. If its contents are wrong, the error is a Problems.
func Load(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return Parse(file, text, os.LookupEnv)
}

// Parse reads the text of a file. env finds environment variables. If the text is
// wrong, the error is a Problems.
func Parse(file string, text []byte, env func(string) (string, bool)) (*Config, error) {
	c := &Config{File: file, at: map[string]position{}}
	d := &document{file: file, env: env, at: c.at}
	if root := d.root(text); root != nil {
		c.read(value{d, root, ""})
		for _, check := range d.later {
			check()
		}
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	c.setDefaults()
	return c, nil
}

// setDefaults fills in the defaults that nobody else has.
func (c *Config) setDefaults() {
	orDefault(&c.Pool.Max, defaultPoolMax)
	orDefault(&c.Pool.Min, min(defaultPoolMin, c.Pool.Max))
	orDefault(&c.Pool.Timeout, defaultPoolTimeout)
	orDefault(&c.Limits.Shutdown, defaultShutdown)
	orDefault(&c.Log.Level, "info")
	orDefault(&c.Log.Format, "text")
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Problem makes a problem of something that was found out after reading, at the
// field of that path ("resources.users.columns") or at what is around it.
func (c *Config) Problem(path, text string) *Problem {
	p := &Problem{File: c.File, Field: path, Text: text}
	for path != "" {
		if at, ok := c.at[path]; ok {
			p.Line, p.Column = at.line, at.column
			return p
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	return p
}

// Place makes problems of the errors of a store about resources, wherever they
// are in err; other errors stay as they are. The order stays.
func (c *Config) Place(err error) []error {
	if err == nil {
		return nil
	}
	if list := joined(err); list != nil {
		var all []error
		for _, e := range list {
			all = append(all, c.Place(e)...)
		}
		return all
	}
	var wrong *store.ConfigError
	if errors.As(err, &wrong) {
		return []error{c.Problem("resources."+wrong.Resource+"."+wrong.Field, wrong.Problem)}
	}
	return []error{err}
}

// joined is what errors.Join has put together, nil if err is no such list: one
// that says more than its parts must stay whole.
func joined(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	if parts := list.Unwrap(); errors.Join(parts...).Error() == err.Error() {
		return parts
	}
	return nil
}
