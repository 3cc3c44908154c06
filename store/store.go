// Package store says what a database must do to stand behind a Fulcrum reader,
// and holds what all of them share: keys as they travel in addresses and JSON,
// and rows as JSON. The databases themselves are in the folders below.
package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// Resource names a part of a database that rows are read from, as configuration
// gives it.
type Resource struct {
	Name    string   // as in /v1/{name}/…
	Table   string   // table or view, optionally schema.table
	Key     []string // one or more columns that a request names
	Columns []string // what a row shows, in this order; at least one
	Many    bool     // a key has a list of rows instead of at most one
	Order   string   // of the rows of a Many resource: "column" or "column desc", comma-separated
	Limit   int      // rows of a Many resource for one key; default 100

	Writable bool   // its rows can be changed: Open gives a Writable; not of a Many resource or a view
	Version  string // column that every change raises by one, or sets to now if it is a time; default none
}

// DefaultLimit is how many rows a Many resource gives for one key unless its
// configuration says otherwise.
const DefaultLimit = 100

// Key is one key of a resource in its canonical text: its parts as they stand in
// the path of an address, percent-encoded and joined by slashes: "42", "acme/7".
type Key string

// DB is a database that resources are opened on. It is safe for concurrent use.
type DB interface {
	// Open checks a resource against the database (tables, columns, types, that the
	// key is unique unless Many) and prepares it. Its errors are *ConfigError.
	Open(ctx context.Context, r Resource) (Table, error)
	// Ping asks the database whether it answers.
	Ping(ctx context.Context) error
	// Conns is the most connections it uses: what InFlight + Reserved must fit in.
	Conns() int
	// Close gives back all connections. Calls in flight fail.
	Close() error
}

// Table is an opened resource. A row is a JSON object, of a Many resource a JSON
// array of objects (an empty one counts as not found).
type Table interface {
	// ParseKey makes a key of the parts of an address or of a JSON array, one for
	// each key column. Its errors are *KeyError.
	ParseKey(parts []string) (Key, error)
	// Fetch reads the rows of many keys with one query.
	Fetch(ctx context.Context, b *fulcrum.Batch[Key, []byte]) error
	// One reads the row of one key with the plain query.
	One(ctx context.Context, key Key) ([]byte, error)
}

// Punctual is implemented by a Table whose One returns by its context's deadline
// whatever the database, the network or the disk do. Its callers can wait on their
// own goroutine (see fulcrum.Patient).
type Punctual interface {
	Table
	// Punctual says how much later than the deadline it may be.
	Punctual() time.Duration
}

// Copied is implemented by a DB that reads can go to several copies of: the copy is the one
// that fulcrum.CopyFrom names.
type Copied interface {
	DB
	// Copies are the primary and its replicas; none if there are no replicas.
	Copies() []fulcrum.Copy
	// Vet says whether a token can be one of this database. It is fulcrum.ErrToken if not.
	Vet(ctx context.Context, t fulcrum.Token) error
}

// Exact is implemented by a Writable that knows whether two of its keys can stand for the
// same row. Where they can (collations that ignore case, padded text), or where a table
// does not say, a cache forgets all its keys when one is written.
type Exact interface {
	Writable
	// ExactKeys says that each row has one key.
	ExactKeys() bool
}

// ErrUnavailable says that the database could not be reached or did not answer;
// the request may succeed later. It is fulcrum.ErrUnavailable too.
var ErrUnavailable error = unavailable{}

type unavailable struct{}

func (unavailable) Error() string        { return "store: database unavailable" }
func (unavailable) Is(target error) bool { return target == fulcrum.ErrUnavailable }

// KeyError says what is wrong with a key that somebody asked for.
type KeyError struct {
	Column string // key column, empty if the number of parts is wrong
	Value  string // what was given
	Want   string // what would be right
}

// Error says what was given and what would be right.
func (e *KeyError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("key %q: want %s", shorten(e.Value), e.Want)
	}
	return fmt.Sprintf("key %q for column %s: want %s", shorten(e.Value), e.Column, e.Want)
}

// maxShown is how much of a wrong value an error repeats, in bytes.
const maxShown = 64

func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

// ConfigError says which part of a resource does not fit the database.
type ConfigError struct {
	Resource string // its name
	Field    string // table, key, columns, order, limit, writable or version
	Problem  string // what is wrong, and what to do
}

// Error says what is wrong, where, and what to do.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("resource %q: %s: %s", e.Resource, e.Field, e.Problem)
}
