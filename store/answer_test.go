package store

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/fulcrum-data/fulcrum"
)

func TestAnswersAreToldAgain(t *testing.T) {
	for _, w := range []Written{
		{}, {Key: "7", Version: "3", Created: true}, {Row: []byte(`{"a":"b"}`)},
	} {
		text, ok := EncodeAnswer(w, nil)
		if !ok {
			t.Fatalf("%+v is not kept", w)
		}
		got, first, err := DecodeAnswer(text)
		w.Replayed = true
		if err != nil || first != nil || !reflect.DeepEqual(got, w) {
			t.Errorf("got %+v, %v, %v, want %+v", got, first, err, w)
		}
	}
	for _, e := range []error{fulcrum.ErrNotFound, ErrExists, ErrVersion, &RowError{Constraint: "c", Message: "m"}} {
		text, ok := EncodeAnswer(Written{Created: true}, fmt.Errorf("wrapped: %w", e))
		if !ok {
			t.Fatalf("%v is not kept", e)
		}
		w, first, err := DecodeAnswer(text)
		if err != nil || !reflect.DeepEqual(first, e) || !reflect.DeepEqual(w, Written{}) {
			t.Errorf("got %+v, %v, %v, want %v", w, first, err, e)
		}
	}
	if _, ok := EncodeAnswer(Written{}, ErrUnavailable); ok {
		t.Error("an outage is kept")
	}
	for _, text := range []string{"", "{", `{"error":"odd"}`, `{"error":"row"}`} {
		if _, first, err := DecodeAnswer([]byte(text)); err == nil || errors.Is(err, first) {
			t.Errorf("%q: no error", text)
		}
	}
}
