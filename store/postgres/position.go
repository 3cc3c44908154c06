package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fulcrum-data/fulcrum"
)

// A position is a place in the write-ahead log, in bytes; PostgreSQL's pg_lsn.
type position uint64

// parsePosition reads "16/B374D848".
func parsePosition(text string) (position, bool) {
	high, low, ok := strings.Cut(text, "/")
	h, errH := strconv.ParseUint(high, 16, 32)
	l, errL := strconv.ParseUint(low, 16, 32)
	if !ok || errH != nil || errL != nil || strings.ContainsAny(text, "+_") {
		return 0, false
	}
	return position(h<<32 | l), true
}

// A moment is what a token of ours names.
type moment struct {
	system   string
	timeline uint64
	at       position
}

// tokenPrefix tells our tokens from those of journals.
const tokenPrefix = "pg:"

// parseToken reads a token of ours.
func parseToken(t fulcrum.Token) (m moment, err error) {
	parts := strings.Split(string(t), ":")
	if len(parts) != 4 || parts[0]+":" != tokenPrefix || parts[1] == "" {
		return m, fmt.Errorf("%w: it is not of the form pg:SYSTEM:TIMELINE:POSITION", fulcrum.ErrToken)
	}
	m.system = parts[1]
	var ok bool
	if m.timeline, err = strconv.ParseUint(parts[2], 16, 32); err != nil {
		return m, fmt.Errorf("%w: its timeline is no number", fulcrum.ErrToken)
	}
	if m.at, ok = parsePosition(parts[3]); !ok {
		return m, fmt.Errorf("%w: its position is none of a write-ahead log", fulcrum.ErrToken)
	}
	return m, nil
}
