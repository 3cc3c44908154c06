package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// kind is one sort of problem. Its code never changes its meaning.
type kind struct {
	status int
	code   string
	title  string
	remedy string // what a caller can do, for /problems/{code}
}

// The kinds of problems.
var (
	badPath         = newKind(http.StatusBadRequest, "bad_path", "The path is not clean", "Percent-encode what stands in a key: %2F for a slash, %2E for a lone dot. An empty key part can only be last.")
	badKey          = newKind(http.StatusBadRequest, "bad_key", "The key does not fit the resource", "The detail says what the resource wants.")
	badHeader       = newKind(http.StatusBadRequest, "bad_header", "A header has a wrong value", "The detail names the header and what it may hold.")
	unknownClass    = newKind(http.StatusBadRequest, "unknown_class", "There is no such class", "Send Fulcrum-Class: urgent, normal or bulk, or leave it out.")
	badJSON         = newKind(http.StatusBadRequest, "bad_json", "The body is not the JSON that is wanted", `Send {"keys":[…]} in UTF-8.`)
	unknownField    = newKind(http.StatusBadRequest, "unknown_field", "The body has an unknown field", `The only field is "keys".`)
	duplicateField  = newKind(http.StatusBadRequest, "duplicate_field", "The body has a field twice", "Send each field once.")
	noKeys          = newKind(http.StatusBadRequest, "no_keys", "The body names no keys", `Name at least one key in "keys".`)
	badRow          = newKind(http.StatusBadRequest, "bad_row", "The body does not fit the resource's columns", "The detail says which column, and what it wants.")
	needsCommit     = newKind(http.StatusBadRequest, "needs_commit", "Only a commit can tell what this request asks for", "Leave out Fulcrum-Durability, or conditions, Idempotency-Key and Prefer.")
	noVersion       = newKind(http.StatusBadRequest, "no_version", "The resource has no versions", "Name a version column in the gateway's configuration, or leave out If-Match.")
	unauthorized    = newKind(http.StatusUnauthorized, "unauthorized", "The request has no valid token", "Send Authorization: Bearer and a token that the gateway's configuration knows.")
	forbidden       = newKind(http.StatusForbidden, "forbidden", "The token does not allow this", "Ask with another token, or have this one allowed in the gateway's configuration.")
	unknownPath     = newKind(http.StatusNotFound, "unknown_path", "There is nothing at this path", "Use /v1/{resource}/{key}, /v1/{resource}, /v1/{resource}:batchGet or /v1/{resource}:batchPut.")
	unknownResource = newKind(http.StatusNotFound, "unknown_resource", "There is no such resource", "Check the name against the gateway's configuration.")
	notFound        = newKind(http.StatusNotFound, "not_found", "There is no such row", "The database was asked and has no row with this key.")
	wrongMethod     = newKind(http.StatusMethodNotAllowed, "method_not_allowed", "The method is not allowed here", "The Allow header names those that are.")
	rowExists       = newKind(http.StatusConflict, "row_exists", "The row is there already", "Change it with PUT or PATCH, or take another key.")
	constraint      = newKind(http.StatusConflict, "constraint", "The row breaks a constraint of the table", "The detail names the constraint.")
	wrongVersion    = newKind(http.StatusPreconditionFailed, "wrong_version", "The row has another version, or is not there", "Read it again, and change what it is now.")
	keyReused       = newKind(http.StatusUnprocessableEntity, "idempotency_key_reused", "The Idempotency-Key was used for another request", "Take a new key for each request, and the same one only to ask again.")
	badValue        = newKind(http.StatusUnprocessableEntity, "bad_value", "The database does not take a value of the row", "The detail has what it says.")
	slowBody        = newKind(http.StatusRequestTimeout, "slow_body", "The body did not arrive in time", "Send it at once, or send less.")
	tooManyKeys     = newKind(http.StatusRequestEntityTooLarge, "too_many_keys", "The body names too many keys", "Split the request.")
	bodyTooLarge    = newKind(http.StatusRequestEntityTooLarge, "body_too_large", "The body is too large", "Split the request.")
	shed            = newKind(http.StatusTooManyRequests, "shed", "The request was refused to protect the others", "Come back after Retry-After seconds.")
	canceled        = newKind(499, "canceled", "The client left before the answer", "Nobody reads this.")
	internal        = newKind(http.StatusInternalServerError, "internal", "Something went wrong inside", "The gateway's log says what.")
	notInitialised  = newKind(http.StatusNotImplemented, "not_initialised", "The database lacks a table of Fulcrum's own", "Run fulcrum init once, or leave out what needs it.")
	circuitOpen     = newKind(http.StatusServiceUnavailable, "circuit_open", "The database is not asked at the moment", "Too many calls to it failed. Come back after Retry-After seconds.")
	unavailable     = newKind(http.StatusServiceUnavailable, "unavailable", "The database cannot be reached", "Try again later.")
	draining        = newKind(http.StatusServiceUnavailable, "draining", "The gateway is shutting down", "Ask another instance, or try again later.")
	ambiguous       = newKind(http.StatusGatewayTimeout, "ambiguous", "It is not known whether the write was made", "Read the row to find out. With an Idempotency-Key, ask again: it is made once.")
	deadline        = newKind(http.StatusGatewayTimeout, "deadline", "The deadline passed before the answer", "Allow more time with Fulcrum-Timeout-Ms, or ask for less at once.")
)

// kinds has every kind by its code.
var kinds = map[string]*kind{}

func newKind(status int, code, title, remedy string) *kind {
	k := &kind{status: status, code: code, title: title, remedy: remedy}
	kinds[code] = k
	return k
}

// problem is one error as the client gets it.
type problem struct {
	*kind
	detail     string
	retryAfter time.Duration // of shed and circuitOpen
}

func (k *kind) because(format string, args ...any) problem {
	return problem{kind: k, detail: fmt.Sprintf(format, args...)}
}

// problemOf says which problem an error is. What is not meant for clients becomes
// internal without a detail.
func problemOf(err error) problem {
	var key *store.KeyError
	var refused *fulcrum.ShedError
	var open *fulcrum.CircuitOpenError
	if p := writeProblem(err); p.kind != nil {
		return p
	}
	switch {
	case errors.Is(err, fulcrum.ErrNotFound):
		return problem{kind: notFound}
	case errors.Is(err, fulcrum.ErrToken):
		return badHeader.because("Fulcrum-After: want what Fulcrum-Token said: %v", err)
	case errors.As(err, &key):
		return problem{kind: badKey, detail: key.Error()}
	case errors.As(err, &refused):
		return problem{kind: shed, detail: "reason: " + refused.Reason, retryAfter: refused.RetryAfter}
	case errors.As(err, &open):
		return problem{kind: circuitOpen, retryAfter: open.RetryAfter}
	case errors.Is(err, fulcrum.ErrClosed):
		return problem{kind: draining}
	case errors.Is(err, store.ErrUnavailable):
		return problem{kind: unavailable}
	case errors.Is(err, context.DeadlineExceeded):
		return problem{kind: deadline}
	case errors.Is(err, context.Canceled):
		return problem{kind: canceled}
	}
	return problem{kind: internal}
}

// retrySeconds is the value of Retry-After: whole seconds, rounded up.
func (p problem) retrySeconds() string {
	return strconv.Itoa(max(1, int(math.Ceil(p.retryAfter.Seconds()))))
}

// append writes the problem as JSON.
func (p problem) append(b []byte, instance string) []byte {
	b = append(b, `{"type":"/problems/`...)
	b = append(b, p.code...)
	b = append(b, `","title":`...)
	b = appendString(b, p.title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(p.status), 10)
	if p.detail != "" {
		b = append(b, `,"detail":`...)
		b = appendString(b, p.detail)
	}
	b = append(b, `,"instance":`...)
	b = appendString(b, instance)
	b = append(b, `,"code":"`...)
	b = append(b, p.code...)
	return append(b, `"}`...)
}

// explain serves /problems/{code}, which the type of every problem points to.
func explain(x *exchange) {
	k := kinds[strings.TrimPrefix(x.r.URL.Path, problems)]
	if k == nil {
		x.fail(problem{kind: unknownPath})
		return
	}
	if x.allow(http.MethodGet, http.MethodHead) {
		x.w.Header()["Content-Type"] = textType
		x.sendBody(http.StatusOK, fmt.Appendf(x.buf, "%s (%d)\n\n%s.\n%s\n", k.code, k.status, k.title, k.remedy))
	}
}
