package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// Op is what a change does.
type Op uint8

// The operations.
const (
	Put    Op = iota // makes the row, or replaces all its columns
	Patch            // changes some columns of a row that is there
	Delete           // takes the row away
	Insert           // makes a row that must not be there yet
)

// String names the operation: put, patch, delete or insert.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}

var opNames = [...]string{Put: "put", Patch: "patch", Delete: "delete", Insert: "insert"}

// Change is one change to one row.
type Change struct {
	Op  Op
	Key Key // empty for an Insert whose key the database makes
	// Body is a JSON object of columns and values, nil for Delete: as rows are read, with
	// integers beyond 2^53 and numerics as numbers or strings, bytes as base64, times as
	// RFC 3339. A Put names all columns that can be written; what an Insert leaves out gets
	// its default. Key columns may be left out where Key is given, and must agree with it.
	Body []byte

	IfVersion string // the version that the row must have: If-Match; empty: any
	IfAbsent  bool   // the row must not be there: If-None-Match: * (Put only)
	Return    bool   // answer with the row as it is afterwards (of a Delete: as it was)
	// AskCreated has Written.Created told of a Put without IfAbsent too: for a lone one a
	// database may have to answer with a row where it need not otherwise.
	AskCreated bool

	// Prepared is what ParseChange made of it, for the Apply of the same table; nil if it
	// was not asked, or the change comes from a journal.
	Prepared any

	Once *Once // nil: making the change again makes it again
}

// Once lets a change be made once, however often it is asked for: who asks again within
// OnceFor gets the first answer, if it was not one that may pass.
type Once struct {
	Scope string            // who asks, of what, and how: keys of different scopes are different
	Key   string            // the caller's own
	Body  [sha256.Size]byte // hash of all that the change says: another under the same key is ErrOnceReused

	Again bool // a change that failed is tried again; only the answer to one that was made is kept
}

// OnceFor is how long a first answer is kept.
const OnceFor = 24 * time.Hour

// Written is what became of a change that was made.
type Written struct {
	Key      Key    // of the row: told for an Insert whose key the database made
	Row      []byte // JSON object of the visible columns; nil unless Change.Return
	Version  string // of the row now; empty without a version column, and after Delete
	Created  bool   // by an Insert, or a Put with AskCreated or IfAbsent: the row was not there before
	Replayed bool   // this is the first answer to a Once, told again
}

// Writable is a Table of a Resource that is Writable.
type Writable interface {
	Table
	// ParseChange checks a change against the table's columns before anything is sent:
	// names, kinds of JSON values, what is missing. It takes an empty Key out of Body where
	// that names all key columns; a Put without a key is wrong. Its errors are *BodyError.
	ParseChange(c Change) (Change, error)
	// Apply makes changes in one transaction: those that fail on their data get their own
	// error with c.Fail (ErrNotFound, ErrExists, ErrVersion, ErrOnceReused, *RowError), the others
	// are made. An error means that nothing was, or, if it is fulcrum.ErrAmbiguous, that the
	// answer to COMMIT was lost. What may pass (a deadlock, a lost connection before COMMIT)
	// is tried again within ctx. With a c.Position that is stored in the same transaction, and
	// changes that fail are kept there as dead letters; if it is stored already, nothing is done.
	Apply(ctx context.Context, c *fulcrum.Commit[Change, Written]) error
	// Resolve asks what became of a commit whose answer was lost.
	Resolve(ctx context.Context, id fulcrum.CommitID) (fulcrum.Fate, error)
}

// Keeper is a DB that can hold Fulcrum's own tables: first answers, positions of journals,
// dead letters, beacons. What needs them says so in a *ConfigError if they are not there.
type Keeper interface {
	DB
	// InitSQL are the statements that make the tables, to read and to run by hand.
	InitSQL() string
	// Init runs them. Tables that are there stay as they are.
	Init(ctx context.Context) error
	// Applied is the offset that each shard of a journal was applied up to.
	Applied(ctx context.Context, journal string) (map[int]int64, error)
	// DeadLetters lists at most limit of them, the oldest first, with IDs above after.
	DeadLetters(ctx context.Context, after int64, limit int) ([]DeadLetter, error)
	// Discard takes dead letters away and says how many there were.
	Discard(ctx context.Context, ids []int64) (int, error)
	// Beacons are the last ones that were written to the resource BeaconTable, at most
	// limit, the oldest first.
	Beacons(ctx context.Context, limit int) ([]Beacon, error)
	// ForgetBeacons takes away all but the last ones, and says how many that were.
	ForgetBeacons(ctx context.Context, keep int) (int, error)
}

// BeaconTable is written as a Resource like any other.
var BeaconTable = Resource{Name: "beacons", Table: "fulcrum_beacons", Key: []string{"view"}, Columns: []string{"at", "body"}, Writable: true}

// Beacon is what a browser told of a page that somebody saw: a row of BeaconTable.
type Beacon struct {
	View string `json:"-"`    // which page that was, and when: the key
	At   int64  `json:"at"`   // when it was told, in ms since 1970
	Body string `json:"body"` // as it was sent
}

// Committer is a DB that makes its commits on connections beside those of Conns.
type Committer interface {
	DB
	// Commits is how many it can make at once.
	Commits() int
}

// DeadLetter is a change that was accepted, could not be made, and is kept.
type DeadLetter struct {
	ID       int64
	At       time.Time
	Resource string
	Scope    string // of who asked for it
	Change   Change // without Once
	Error    string // why it could not be made
}

// Errors of single changes.
var (
	// ErrExists says that an Insert, or a Put with IfAbsent, found the row there.
	ErrExists = errors.New("store: the row is there already")
	// ErrVersion says that the row has another version than IfVersion, or is not there.
	ErrVersion = errors.New("store: the row has another version")
	// ErrOnceReused says that a Once's key was used for another change before.
	ErrOnceReused = errors.New("store: the idempotency key was used for another change")
)

// RowError is what the database has against one change: a constraint it breaks, a
// value that does not fit.
type RowError struct {
	Constraint string // its name, if it has one
	Column     string // if the database says which
	Code       string // SQLSTATE, or SQLite's extended result code as text
	Message    string // the database's own, without values of other rows
}

// Error says what is wrong with the change.
func (e *RowError) Error() string {
	if e.Constraint != "" {
		return fmt.Sprintf("store: the row breaks constraint %s: %s", e.Constraint, e.Message)
	}
	return "store: the row does not fit: " + e.Message
}

// BodyError says what is wrong with the body of a change.
type BodyError struct {
	Column  string // empty: the body as a whole
	Problem string
}

// Error says what is wrong, and where.
func (e *BodyError) Error() string {
	if e.Column == "" {
		return "body: " + e.Problem
	}
	return fmt.Sprintf("body: column %q: %s", shorten(e.Column), e.Problem)
}
