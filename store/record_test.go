package store

import (
	"reflect"
	"testing"
)

func FuzzChangeRecord(f *testing.F) {
	f.Add(byte(0), "a/b", []byte(`{"a":"\u0000"}`), "7", true)
	f.Add(byte(2), "", []byte(nil), "", false)
	f.Add(byte(9), "k\u2028", []byte("\xff"), "", false)
	f.Fuzz(func(t *testing.T, op byte, key string, body []byte, version string, absent bool) {
		c := Change{Op: Op(op), Key: Key(key), Body: body, IfVersion: version, IfAbsent: absent}
		text, err := EncodeChange(c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeChange(text)
		if (err != nil) != (Op(op) > Insert) {
			t.Fatalf("operation %d: %v", op, err)
		}
		if len(body) == 0 {
			c.Body = nil
		}
		if err == nil && string(JoinKey(key)) == key && !reflect.DeepEqual(got, c) { // keys are valid UTF-8
			t.Errorf("got %+v, want %+v", got, c)
		}
	})
}

func TestRecordsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"op":4}`, `{"op":-1}`, `{"body":"?"}`} {
		if c, err := DecodeChange([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, c)
		}
	}
}
