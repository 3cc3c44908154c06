package fulcrum

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
)

// Errors that callers can test for with errors.Is.
var (
	// ErrNotFound says that the backend answered and has no value for the key.
	ErrNotFound = errors.New("fulcrum: not found")
	// ErrShed says that the request was refused on purpose, before any work was
	// done for it. errors.As with *ShedError gives the reason.
	ErrShed = errors.New("fulcrum: shed")
	// ErrUnavailable says that the backend could not be reached or cannot serve. A Fetch
	// whose errors wrap it has them counted by the Backend's circuit, as those of the
	// network are.
	ErrUnavailable = errors.New("fulcrum: backend unavailable")
	// ErrCircuitOpen says that the Backend is not asked at the moment, because too many
	// calls to it failed. errors.As with *CircuitOpenError says when to come back.
	ErrCircuitOpen = errors.New("fulcrum: circuit open")
	// ErrAmbiguous says that nobody can tell whether a write was made: the answer to its
	// commit was lost, or its caller left while it was on its way.
	ErrAmbiguous = errors.New("fulcrum: it is not known whether the write was made")
	// ErrPosition is Apply's where another commit has moved the journal's position; see
	// Position. Nothing was written.
	ErrPosition = errors.New("fulcrum: the journal was applied up to another place")
	// ErrToken is Choice.Vet's where a token of After names no moment of the databases.
	ErrToken = errors.New("fulcrum: no token of this database")
	// ErrClosed says that the Reader is shutting down or has shut down.
	ErrClosed = errors.New("fulcrum: closed")
)

// Reasons of a ShedError.
const (
	ShedQueueFull   = "queue_full"           // the lane holds Policy.MaxQueued keys
	ShedWaiters     = "too_many_waiters"     // Policy.MaxWaiters callers wait for this key
	ShedUnreachable = "deadline_unreachable" // by the measured service time the deadline cannot be kept
	ShedOverload    = "overload"             // more comes than is answered: it would wait over Policy.MaxQueueTime
)

// ShedBytes is a Writer's: its writes that are not made yet hold WriterConfig.MaxBytes.
const ShedBytes = "too_many_bytes"

// ShedError is a refusal with its reason. errors.Is(err, ErrShed) holds.
type ShedError struct {
	Reason     string        // one of the Shed constants
	RetryAfter time.Duration // when the queue should have drained, by the model; at least 1 ms
}

// Error says what was refused, why, and when to come back.
func (e *ShedError) Error() string {
	return fmt.Sprintf("fulcrum: shed (%s), retry after %s", e.Reason, e.RetryAfter)
}

// Is makes errors.Is(err, ErrShed) hold.
func (e *ShedError) Is(target error) bool { return target == ErrShed }

// CircuitOpenError is a refusal because the circuit is open, or half-open with all
// its probes out. errors.Is(err, ErrCircuitOpen) holds.
type CircuitOpenError struct {
	Backend    string        // BackendConfig.Name
	RetryAfter time.Duration // when the backend is asked again; at least 1 ms
}

// Error says which backend, and when to come back.
func (e *CircuitOpenError) Error() string {
	return fmt.Sprintf("fulcrum: the circuit of %s is open, retry after %s", e.Backend, e.RetryAfter)
}

// Is makes errors.Is(err, ErrCircuitOpen) hold.
func (e *CircuitOpenError) Is(target error) bool { return target == ErrCircuitOpen }

// PanicError is a panic in Fetch or One, given to the callers of the keys that
// cause it. The process lives on.
type PanicError struct {
	Value any    // what was passed to panic; nil if the goroutine was ended by runtime.Goexit
	Stack []byte // where it happened
}

// Error gives the panic's value; the stack is in the field.
func (e *PanicError) Error() string { return fmt.Sprintf("fulcrum: panic in fetch: %v", e.Value) }

// Unwrap gives the panic's value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// KeyErrors is what GetMany returns when some keys failed: each key's own error.
// Keys that were not found are not errors; they are missing from the result.
type KeyErrors[K comparable] map[K]error

// maxNamed is how many keys the text of KeyErrors names.
const maxNamed = 3

// Error names the first few keys, in the order of their text.
func (e KeyErrors[K]) Error() string {
	lines := make([]string, 0, len(e))
	for k, err := range e {
		lines = append(lines, fmt.Sprintf("%v: %v", k, err))
	}
	sort.Strings(lines)
	if len(lines) > maxNamed {
		lines = append(lines[:maxNamed], fmt.Sprintf("and %d more", len(lines)-maxNamed))
	}
	return fmt.Sprintf("fulcrum: %d keys failed: %s", len(e), strings.Join(lines, "; "))
}

// Unwrap lets errors.Is and errors.As look at every key's error.
func (e KeyErrors[K]) Unwrap() []error {
	all := make([]error, 0, len(e))
	for _, err := range e {
		all = append(all, err)
	}
	return all
}

// divisible marks an error as the fault of single keys.
type divisible struct{ error }

// Unwrap gives the error that was marked.
func (d divisible) Unwrap() error { return d.error }

// Divisible marks an error of Fetch as caused by single keys (a value that does
// not convert, a row whose expression fails), not by the backend. The Reader then
// halves the batch until only the guilty keys fail: about 2·log2(n) further
// queries a guilty key, at most 64 a batch. An unmarked error fails the whole batch, so that a
// backend in trouble is not asked more often than before. Nil stays nil.
func Divisible(err error) error {
	if err == nil {
		return nil
	}
	return divisible{err}
}

// isNotFound holds for ErrNotFound, wrapped or not. An error that cannot even be
// looked into (a nil pointer whose Unwrap panics) is some other error.
func isNotFound(err error) (is bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, ErrNotFound)
}
