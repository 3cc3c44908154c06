package store

import (
	"encoding/json"
	"fmt"
)

// record is a change as a journal keeps it.
type record struct {
	Op        Op     `json:"op"`
	Key       Key    `json:"key,omitempty"`
	Body      []byte `json:"body,omitempty"` // in base64: exactly as it came
	IfVersion string `json:"if_version,omitempty"`
	IfAbsent  bool   `json:"if_absent,omitempty"`
}

// EncodeChange makes bytes of a change, for a journal. Once and Return are left out: who
// would get an answer is gone by then.
func EncodeChange(c Change) ([]byte, error) {
	return json.Marshal(record{c.Op, c.Key, c.Body, c.IfVersion, c.IfAbsent})
}

// DecodeChange undoes EncodeChange.
func DecodeChange(text []byte) (Change, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return Change{}, fmt.Errorf("store: a change cannot be read: %w", err)
	}
	if r.Op > Insert {
		return Change{}, fmt.Errorf("store: a change has the unknown operation %d", r.Op)
	}
	return Change{Op: r.Op, Key: r.Key, Body: r.Body, IfVersion: r.IfVersion, IfAbsent: r.IfAbsent}, nil
}
