package fulcrum

// Token stands for a moment in the life of a database: what was committed up to
// then. It is opaque; the empty one stands for no moment.
type Token string

// CommitID is what a backend calls a commit, so that it can be asked later what
// became of it. It is opaque; the empty one asks nobody.
type CommitID string

// Fate is what became of a commit whose answer was lost.
type Fate uint8

// The fates. The zero value is FateUnknown.
const (
	FateUnknown   Fate = iota // nobody can tell
	FateCommitted             // all of it is there
	FateAborted               // nothing of it is there, and nothing will be
)

// Position is the place in a journal up to which a commit's writes go. Apply stores
// it in the same transaction as they: what is found there after a crash was applied. If
// what is stored is Offset or beyond, nothing is done. If it is neither that nor After, it
// is ErrPosition: a process that died may have had a commit on its way, which was made
// later and ends elsewhere.
type Position struct {
	Journal string // which journal: a random name, made with it
	Shard   int    // which part of it; each advances by itself
	After   int64  // what is stored, or nothing is stored yet
	Offset  int64  // of the last write of the commit
}

// Commit is what Apply gets: writes that are made together, and where their outcomes
// go. A write that is neither Set nor Failed when Apply returns nil was made, with
// the zero result. It is for one goroutine at a time and must not be used after Apply
// has returned.
type Commit[T, R any] struct {
	items    []T
	out      []outcome[R]
	class    Class
	token    Token
	id       CommitID
	position *Position
}

// NewCommit makes a commit by hand, for those who test an Apply. A nil position
// means that no journal is behind it.
func NewCommit[T, R any](items []T, position *Position) *Commit[T, R] {
	return &Commit[T, R]{items: items, out: make([]outcome[R], len(items)), position: position}
}

// Items are the writes: at least one, sorted by WriterConfig.OrderBy, each of its
// keys once. The slice is the commit's own and must not be changed.
func (c *Commit[T, R]) Items() []T { return c.items }

// Len is the number of writes.
func (c *Commit[T, R]) Len() int { return len(c.items) }

// Class is that of the most urgent of its callers.
func (c *Commit[T, R]) Class() Class { return c.class }

// Set gives the result of Items()[i], which was made.
func (c *Commit[T, R]) Set(i int, result R) { c.out[i] = outcome[R]{value: result, set: true} }

// Fail gives Items()[i] its own error: it was not made, its neighbours were. It has no
// effect if Apply returns an error.
func (c *Commit[T, R]) Fail(i int, err error) {
	if err != nil {
		c.out[i] = outcome[R]{err: err}
	}
}

// SetToken says from which moment on readers see these writes.
func (c *Commit[T, R]) SetToken(t Token) { c.token = t }

// SetID says what the backend calls the commit. It must be set before the backend is
// told to commit, if WriterConfig.Resolve is to be of use.
func (c *Commit[T, R]) SetID(id CommitID) { c.id = id }

// Position is where the writes stand in a journal; nil if no journal is behind them.
func (c *Commit[T, R]) Position() *Position { return c.position }

// Result is what became of Items()[i] so far, for those who test an Apply.
func (c *Commit[T, R]) Result(i int) (R, error) { return c.out[i].value, c.out[i].err }

// Token is what SetToken was told last.
func (c *Commit[T, R]) Token() Token { return c.token }

// ID is what SetID was told last.
func (c *Commit[T, R]) ID() CommitID { return c.id }

// Reset forgets what was Set, Failed and told, for an Apply that begins anew after
// its transaction was rolled back.
func (c *Commit[T, R]) Reset() {
	clear(c.out)
	c.token, c.id = "", ""
}
