package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fulcrum-data/fulcrum"
)

// answer is what is kept of a Once: what its first change came to.
type answer struct {
	Key     Key             `json:"key,omitempty"`
	Row     json.RawMessage `json:"row,omitempty"`
	Version string          `json:"version,omitempty"`
	Created bool            `json:"created,omitempty"`
	Error   string          `json:"error,omitempty"` // one of answerErrors, or "row"
	Wrong   *RowError       `json:"wrong,omitempty"`
}

// answerErrors are the errors that stay what they are however often one asks.
var answerErrors = map[string]error{"not_found": fulcrum.ErrNotFound, "exists": ErrExists, "version": ErrVersion}

// EncodeAnswer makes what is kept of a Once; false if the error is one that may pass, so
// that who asks again must have it tried again.
func EncodeAnswer(w Written, err error) ([]byte, bool) {
	a := answer{Key: w.Key, Row: w.Row, Version: w.Version, Created: w.Created}
	if err != nil {
		a = answer{}
		for name, e := range answerErrors {
			if errors.Is(err, e) {
				a.Error = name
			}
		}
		if errors.As(err, &a.Wrong) {
			a.Error = "row"
		}
		if a.Error == "" {
			return nil, false
		}
	}
	text, err := json.Marshal(a)
	return text, err == nil
}

// DecodeAnswer is the first answer, told again. Its second result is that answer's error;
// the third says that the text is none that EncodeAnswer made.
func DecodeAnswer(text []byte) (w Written, first, err error) {
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return w, nil, fmt.Errorf("store: a kept answer cannot be read: %w", err)
	}
	switch {
	case a.Error == "":
		return Written{Key: a.Key, Row: a.Row, Version: a.Version, Created: a.Created, Replayed: true}, nil, nil
	case a.Error == "row" && a.Wrong != nil:
		return w, a.Wrong, nil
	case answerErrors[a.Error] != nil:
		return w, answerErrors[a.Error], nil
	}
	return w, nil, fmt.Errorf("store: a kept answer has the unknown error %q", a.Error)
}
