package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fulcrum-data/fulcrum/store"
)

func TestReadObject(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                             "",
		` { "a" : 1 , "b" : [ ] } `:      "a=1 b=[ ]",
		`{"a":{"b":[1,{"c":null}]}}`:     `a={"b":[1,{"c":null}]}`,
		`{"\u0061\"":-0.5e+10}`:          `a"=-0.5e+10`,
		`{"a":"\ud83d\ude00","a":false}`: `a="\ud83d\ude00" a=false`,
		`{"":0}`:                         "=0",
	} {
		got, err := members(text)
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func members(text string) (string, error) {
	var all []string
	err := store.ReadObject([]byte(text), func(name, value []byte) error {
		all = append(all, string(name)+"="+string(value))
		return nil
	})
	return strings.Join(all, " "), err
}

func TestReadObjectRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                     "want a JSON object at byte 0",
		`[]`:                   "want a JSON object at byte 0",
		`null`:                 "want a JSON object at byte 0",
		`{"a":1}x`:             "something follows the object at byte 7",
		`{"a":1,}`:             "want a name in quotes at byte 7",
		`{"a":1 "b":2}`:        "want a comma or } at byte 7",
		`{a:1}`:                "want a name in quotes at byte 1",
		`{"a" 1}`:              "want a colon at byte 5",
		`{"a":}`:               "want a JSON value at byte 5",
		`{"a":01}`:             "want a comma or } at byte 6",
		`{"a":+1}`:             "want a JSON value at byte 5",
		`{"a":1.}`:             "want a digit at byte 7",
		`{"a":1e}`:             "want a digit at byte 7",
		`{"a":-}`:              "want a digit at byte 6",
		`{"a":nul}`:            "want a JSON value at byte 5",
		`{"a":"b`:              "a string does not end at byte 7",
		"{\"a\":\"\n\"}":       "a control character is not escaped at byte 6",
		"{\"a\":\"\xff\"}":     "a string is not UTF-8 at byte 7",
		`{"a":"\x"}`:           "no such escape at byte 7",
		`{"a":"\u12g4"}`:       "want four hexadecimal digits at byte 8",
		`{"a":"\ud800"}`:       "half of a surrogate pair at byte 12",
		`{"a":"\udc00\ud800"}`: "half of a surrogate pair at byte 12",
		`{"a":[1,]}`:           "want a JSON value at byte 8",
	} {
		_, err := members(text)
		var wrong *store.BodyError
		if !errors.As(err, &wrong) || wrong.Problem != want {
			t.Errorf("%s: got %v; want %q", text, err, want)
		}
	}
	deep := `{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"
	if _, err := members(deep); err == nil || !strings.Contains(err.Error(), "nested too deep") {
		t.Errorf("deep nesting: %v", err)
	}
}

func TestReadArray(t *testing.T) {
	var got []string
	collect := func(value []byte) error {
		got = append(got, string(value))
		return nil
	}
	if err := store.ReadArray([]byte(` [1, [2], "x" ] `), collect); err != nil || !reflect.DeepEqual(got, []string{"1", "[2]", `"x"`}) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"", "{}", "[1", "[1]1", "[,]"} {
		if err := store.ReadArray([]byte(text), collect); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// What ReadObject takes, encoding/json takes for the same; what it refuses beyond
// that is what a database would refuse or change.
func FuzzReadObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":"\ud83d\ude00\n","b":[{"c":null}]}`, `{"a":"\ud800"}`, `{"a":1e5,"a":-0}`, "{\"\xff\":0}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := map[string]any{}
		err := store.ReadObject(text, func(name, value []byte) error {
			var v any
			if err := exactly(value, &v); err != nil {
				t.Fatalf("%q: value %q: %v", text, value, err)
			}
			if s, ok := v.(string); ok && string(store.AppendUnquoted(nil, value)) != s {
				t.Fatalf("%q: %q read as %q", text, value, store.AppendUnquoted(nil, value))
			}
			got[string(name)] = v
			return nil
		})
		var want map[string]any
		plain := exactly(text, &want)
		switch {
		case err == nil && plain != nil:
			t.Fatalf("%q: taken, encoding/json says %v", text, plain)
		case err == nil && !reflect.DeepEqual(got, want):
			t.Fatalf("%q: got %v, want %v", text, got, want)
		case err != nil && plain == nil && want != nil && utf8.Valid(text) &&
			!strings.Contains(err.Error(), "surrogate") && !strings.Contains(err.Error(), "too deep"):
			t.Fatalf("%q: refused: %v", text, err)
		}
	})
}

// exactly is json.Unmarshal that does not round numbers.
func exactly(text []byte, v any) error {
	if !json.Valid(text) {
		return errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}
