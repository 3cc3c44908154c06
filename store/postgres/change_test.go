package postgres_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

const fuzzedSQL = `create table fuzzed (id bigint primary key, t text, n numeric, b bytea, j jsonb, at timestamptz, local timestamp, d date,
	f real, ok boolean, a integer[], m mood, u uuid, c char(3), i interval, s smallint, r int4range)`

var fuzzedColumns = []string{"t", "n", "b", "j", "at", "local", "d", "f", "ok", "a", "m", "u", "c", "i", "s", "r"}

// Whatever a body says: it is refused as a body, or the row fails, or the row is there
// and shows what was sent as far as JSON can tell. Never anything else.
func FuzzParseChange(f *testing.F) {
	if server == nil {
		f.Skip("no server")
	}
	dsn, plain := schema(f)
	exec(f, plain, typesSQL)
	exec(f, plain, fuzzedSQL)
	db := open(f, postgres.Config{DSN: dsn, MinConns: -1, MaxConns: 4})
	w := openWritable(f, db, store.Resource{Table: "fuzzed", Columns: fuzzedColumns})
	for _, body := range []string{
		`{"t":"x","n":"12.50","b":"AP8=","j":{"a":[1]},"at":"2024-02-29T12:30:00.5+02:00","local":"2024-02-29T12:30:00","d":"2024-02-29"}`,
		`{"f":1e-20,"ok":true,"a":[1,null,3],"m":"sad","u":"0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d","c":"ab","i":"P1Y2M3DT4H5M6.5S","s":-1,"r":"[1,5)"}`,
		`{"at":"-0043-03-15T12:00:00Z","local":"+12024-03-15T12:00:00.25Z","d":"0000-01-01","a":[[1,2],[3,4]]}`,
		`{"n":"NaN","f":"-Infinity","d":"infinity","at":"-infinity","j":null}`,
		`{"t":"\u0000"}`, `{"a":[1,[2]]}`, `{"a":["x"]}`, `{"j":"\u0000"}`, `{"n":1e999999}`, `{"f":1e999}`, `{"s":40000}`, `{"at":"24:00"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := w.ParseChange(store.Change{Op: store.Insert, Key: "1", Body: body, Return: true})
		var wrong *store.BodyError
		if err != nil {
			if !errors.As(err, &wrong) {
				t.Fatalf("%q: ParseChange: %v", body, err)
			}
			return
		}
		commit := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{c, {Op: store.Insert, Key: "2", Body: body}}, nil)
		if err := w.Apply(t.Context(), commit); err != nil {
			t.Fatalf("%q: Apply: %v", body, err)
		}
		checkFuzzed(t, w, plain, commit, body)
	})
}

func checkFuzzed(t *testing.T, w store.Writable, plain *pgxpool.Pool, commit *fulcrum.Commit[store.Change, store.Written], body []byte) {
	written, err := commit.Result(0)
	_, other := commit.Result(1)
	if (err == nil) != (other == nil) {
		t.Fatalf("%q: one way %v, the other %v", body, err, other)
	}
	if err != nil {
		var row *store.RowError
		if !errors.As(err, &row) {
			t.Fatalf("%q: got %v", body, err)
		}
		return
	}
	exec(t, plain, "delete from fuzzed")
	if !json.Valid(written.Row) {
		t.Fatalf("%q: shown as %q", body, written.Row)
	}
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(body, &sent); err != nil {
		t.Fatalf("%q: taken, but %v", body, err)
	}
	if text, ok := sent["t"]; ok {
		var want, got struct{ T *string }
		if json.Unmarshal([]byte(`{"t":`+string(text)+`}`), &want) != nil || json.Unmarshal(written.Row, &got) != nil ||
			(want.T == nil) != (got.T == nil) || want.T != nil && *want.T != *got.T {
			t.Fatalf("%q: shown as %s", body, written.Row)
		}
	}
	again := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{{Op: store.Put, Key: "1", Body: written.Row, Return: true}}, nil)
	if err := w.Apply(t.Context(), again); err != nil {
		t.Fatalf("%s: written again: %v", written.Row, err)
	}
	back, err := again.Result(0)
	exec(t, plain, "delete from fuzzed")
	if err != nil || string(back.Row) != string(written.Row) {
		t.Fatalf("%q: what was shown as %s came back as %s, %v", body, written.Row, back.Row, err)
	}
}

// Errors of bodies name the column and what would be right.
func TestBodyErrors(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, typesSQL)
	exec(t, plain, fuzzedSQL)
	w := openWritable(t, open(t, postgres.Config{DSN: dsn}), store.Resource{Table: "fuzzed", Columns: fuzzedColumns})
	for body, want := range map[string]string{
		`{"t":1}`:                               `body: column "t": want a string`,
		`{"t":"\u0000"}`:                        `body: column "t": want a string without NUL`,
		`{"tt":1}`:                              `body: column "tt": the resource has no such column; did you mean "t"?`,
		`{"n":true}`:                            `body: column "n": want a number, or a number in a string`,
		`{"b":"_w"}`:                            `body: column "b": want a string of bytes in base64 with padding`,
		`{"at":"2024-02-29T12:30:00"}`:          `body: column "at": want a time such as 2024-02-29T12:30:00.5Z`,
		`{"at":5}`:                              `body: column "at": want a time such as 2024-02-29T12:30:00.5Z`,
		`{"local":"now"}`:                       `body: column "local": want a time such as 2024-02-29T12:30:00.5Z`,
		`{"d":"2023-02-29"}`:                    `body: column "d": want a date such as 2024-02-29`,
		`{"ok":"true"}`:                         `body: column "ok": want true or false`,
		`{"a":1}`:                               `body: column "a": want an array`,
		`{"a":[1,"x"]}`:                         `body: column "a": want an array, each of its elements an integer of 64 bits`,
		`{"s":32768}`:                           `body: column "s": want an integer of 16 bits`,
		`{"s":"+1"}`:                            `body: column "s": want an integer of 16 bits`,
		`{"m":{}}`:                              `body: column "m": want a string`,
		`{"t":"` + strings.Repeat("x", 10) + ``: `body: a string does not end at byte 16`,
	} {
		_, err := w.ParseChange(store.Change{Op: store.Patch, Key: "1", Body: []byte(body)})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v; want %s", body, err, want)
		}
	}
}
