package postgres_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// values are SQL expressions and the JSON that their column becomes.
var values = []struct{ typ, sql, want string }{
	{"boolean", "true", `true`},
	{"smallint", "-32768", `-32768`},
	{"integer", "2147483647", `2147483647`},
	{"bigint", "9007199254740992", `9007199254740992`},
	{"bigint", "-9007199254740993", `"-9007199254740993"`},
	{"oid", "4294967295", `4294967295`},
	{"real", "0.1", `0.1`},
	{"real", "1e-20", `1e-20`},
	{"real", "'-Infinity'", `"-Infinity"`},
	{"double precision", "0.1", `0.1`},
	{"double precision", "'NaN'", `"NaN"`},
	{"double precision", "1e300", `1e+300`},
	{"numeric", "12.50", `"12.50"`},
	{"numeric", "123456789012345678901234567890.123456789", `"123456789012345678901234567890.123456789"`},
	{"numeric", "'NaN'", `"NaN"`},
	{"numeric", "'Infinity'", `"Infinity"`},
	{"money", "'12.5'", `"$12.50"`},
	{"text", `E'a "b" \\ \n \u2028'`, `"a \"b\" \\ \n \u2028"`},
	{"varchar(5)", "'ab'", `"ab"`},
	{"char(4)", "'ab'", `"ab  "`},
	{"citext", "'Ab'", `"Ab"`},
	{"name", "'ab'", `"ab"`},
	{`"char"`, "'x'", `"x"`},
	{"mood", "'it''s \"ok\"'", `"it's \"ok\""`},
	{"json", `'{"a" : 1.50, "a":[]}'`, `{"a" : 1.50, "a":[]}`},
	{"jsonb", `'{"a": 1e2}'`, `{"a": 100}`},
	{"jsonb", `'null'`, `null`},
	{"bytea", `'\x00ff'`, `"AP8="`},
	{"uuid", "'0B14DC08-9C4E-4F0F-8D3A-3A0F0A1C2B3D'", `"0b14dc08-9c4e-4f0f-8d3a-3a0f0a1c2b3d"`},
	{"timestamptz", "'2024-02-29 14:30:00.5+02'", `"2024-02-29T12:30:00.5Z"`},
	{"timestamptz", "'1969-12-31 23:59:59.999999Z'", `"1969-12-31T23:59:59.999999Z"`},
	{"timestamptz", "'infinity'", `"infinity"`},
	{"timestamptz", "'-infinity'", `"-infinity"`},
	{"timestamp", "'2024-02-29 12:30:00'", `"2024-02-29T12:30:00Z"`},
	{"timestamp", "'0044-03-15 12:00:00 BC'", `"-0043-03-15T12:00:00Z"`},
	{"timestamp", "'12024-03-15 12:00:00.25'", `"+12024-03-15T12:00:00.25Z"`},
	{"date", "'2024-02-29'", `"2024-02-29"`},
	{"date", "'0001-01-01 BC'", `"0000-01-01"`},
	{"date", "'0044-03-15 BC'", `"-0043-03-15"`},
	{"date", "'12024-03-15'", `"+12024-03-15"`},
	{"date", "'-infinity'", `"-infinity"`},
	{"date", "'infinity'", `"infinity"`},
	{"time", "'12:30:00.000001'", `"12:30:00.000001"`},
	{"time", "'24:00'", `"24:00:00"`},
	{"timetz", "'12:30:00+02'", `"12:30:00+02:00"`},
	{"timetz", "'12:30:00.5-05:30:15'", `"12:30:00.5-05:30:15"`},
	{"timetz", "'12:30:00+00'", `"12:30:00Z"`},
	{"interval", "'1 year 2 mons 3 days 4 hours 5 min 6.5 sec'", `"P1Y2M3DT4H5M6.5S"`},
	{"interval", "'-1 mons +2 days -00:00:00.25'", `"P-1M2DT-0.25S"`},
	{"interval", "'0'", `"PT0S"`},
	{"interval", "'100 hours'", `"PT100H"`},
	{"integer[]", "'{}'", `[]`},
	{"integer[]", "'{1,NULL,3}'", `[1,null,3]`},
	{"integer[]", "'{{1,2},{3,4}}'", `[[1,2],[3,4]]`},
	{"integer[]", "'[0:1]={1,2}'", `[1,2]`},
	{"bigint[]", "'{9007199254740993}'", `["9007199254740993"]`},
	{"text[]", `'{"a,b",NULL,"NULL","","\"\\{}"}'`, `["a,b",null,"NULL","","\"\\{}"]`},
	{"jsonb[]", `array['{"a": 1}'::jsonb, null]`, `[{"a": 1},null]`},
	{"timestamptz[]", "'{2024-02-29 12:00+00}'", `["2024-02-29T12:00:00Z"]`},
	{"mood[]", `'{sad,NULL}'`, `["sad",null]`},
	{"numeric[]", "'{1.50,NULL,NaN}'", `["1.50",null,"NaN"]`},
	{"numeric[]", "'[0:1][2:3]={{1,2},{3,NULL}}'", `[["1","2"],["3",null]]`},
	{"numeric[]", "'{}'", `[]`},
	{"citext[]", `'{"a,b",NULL,"NULL","","\"\\{}="}'`, `["a,b",null,"NULL","","\"\\{}="]`},
	{"box[]", "'{(1,1),(0,0);(3,3),(2,2)}'", `["(1,1),(0,0)","(3,3),(2,2)"]`},
	{"pair[]", `array[row(1, 'a "b"')::pair]`, `["(1,\"a \"\"b\"\"\")"]`},
	{"pair", `row(1, 'a,b')`, `"(1,\"a,b\")"`},
	{"positive", "7", `7`},
	{"positive[]", "'{7}'", `[7]`},
	{"inet", "'192.0.2.1/24'", `"192.0.2.1/24"`},
	{"cidr", "'192.0.2.0/24'", `"192.0.2.0/24"`},
	{"macaddr", "'08:00:2b:01:02:03'", `"08:00:2b:01:02:03"`},
	{"int4range", "'[1,5)'", `"[1,5)"`},
	{"int4multirange", "'{[1,5),[7,9)}'", `"{[1,5),[7,9)}"`},
	{"bit(3)", "B'101'", `"101"`},
	{"xml", "'<a/>'", `"<a/>"`},
	{"point", "'(1,2)'", `"(1,2)"`},
	{"tsvector", "'a b'", `"'a' 'b'"`},
	{"int2vector", "'1 2'", `"1 2"`},
	{"text", "null", `null`},
	{"integer[]", "null", `null`},
	{"numeric", "null", `null`},
}

const typesSQL = `create type mood as enum ('sad', 'it''s "ok"');
	create type pair as (a integer, b text); create domain positive as integer check (value > 0)`

func TestEveryTypeBecomesJSON(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, typesSQL)
	db := open(t, postgres.Config{DSN: dsn})
	var columns, names, sqls, want []string
	for i, v := range values {
		name := fmt.Sprintf("c%d", i)
		columns = append(columns, name+" "+v.typ)
		names = append(names, name)
		sqls = append(sqls, "("+v.sql+")::"+v.typ)
		want = append(want, v.want)
	}
	exec(t, plain, "create table everything (id integer primary key, "+strings.Join(columns, ", ")+")")
	exec(t, plain, "insert into everything values (1, "+strings.Join(sqls, ", ")+")")
	table := openTable(t, db, store.Resource{Name: "everything", Table: "everything", Key: []string{"id"}, Columns: names})
	row, err := table.One(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(row) {
		t.Fatalf("not JSON: %s", row)
	}
	rest := string(row)
	for i, w := range want {
		open := ","
		if i == 0 {
			open = "{"
		}
		w = fmt.Sprintf("%s%q:%s", open, names[i], w)
		if !strings.HasPrefix(rest, w) {
			t.Fatalf("%s of %s:\n got %.80s…\nwant %s", values[i].sql, values[i].typ, rest, w)
		}
		rest = rest[len(w):]
	}
}

// What goes in comes out: read back from the JSON, values are the same.
func TestRandomValuesSurvive(t *testing.T) {
	dsn, plain := schema(t)
	exec(t, plain, `create table round (id integer primary key, t text, i bigint, f double precision, g real, b bytea,
		z timestamptz, ts text[], j jsonb, iv interval)`)
	db := open(t, postgres.Config{DSN: dsn})
	table := openTable(t, db, store.Resource{Name: "round", Table: "round", Key: []string{"id"}, Columns: []string{"t", "i", "f", "g", "b", "z", "ts", "j", "iv"}})
	text := rapid.Custom(func(t *rapid.T) string { return strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "") })
	rapid.Check(t, func(rt *rapid.T) {
		s, list := text.Draw(rt, "t"), rapid.SliceOf(text).Draw(rt, "ts")
		if list == nil {
			list = []string{}
		}
		i, f, g := rapid.Int64().Draw(rt, "i"), rapid.Float64().Draw(rt, "f"), rapid.Float32().Draw(rt, "g")
		b := rapid.SliceOf(rapid.Byte()).Draw(rt, "b")
		z := time.UnixMicro(rapid.Int64Range(-60_000_000_000_000_000, 250_000_000_000_000_000).Draw(rt, "z")).UTC()
		j, _ := json.Marshal(map[string]any{s: list})
		iv := time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(rt, "iv")) * time.Microsecond
		exec(t, plain, "delete from round")
		exec(t, plain, "insert into round values (1, $1, $2, $3, $4, $5, $6, $7, $8, $9)", s, i, f, g, b, z, list, string(j), iv)
		row, err := table.One(t.Context(), "1")
		if err != nil {
			rt.Fatal(err)
		}
		var got struct {
			T       string
			I, F, G any
			B       string
			Z       time.Time
			TS      []string
			J       map[string][]string
			Iv      string
		}
		d := json.NewDecoder(strings.NewReader(string(row)))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			rt.Fatalf("%s: %v", row, err)
		}
		gotF, _ := strconv.ParseFloat(fmt.Sprint(got.F), 64)
		gotG, _ := strconv.ParseFloat(fmt.Sprint(got.G), 32)
		raw, _ := base64.StdEncoding.DecodeString(got.B)
		same := got.T == s && fmt.Sprint(got.I) == fmt.Sprint(i) && gotF == f && float32(gotG) == g && string(raw) == string(b) &&
			got.Z.Equal(z) && fmt.Sprint(got.TS) == fmt.Sprint(list) && fmt.Sprint(got.J[s]) == fmt.Sprint(list)
		if !same || parseInterval(rt, got.Iv) != iv {
			rt.Fatalf("got %s for %q %v %v %v %v %v %q %v", row, s, i, f, g, b, z, list, iv)
		}
	})
}

// parseInterval reads an ISO 8601 duration without years and months.
func parseInterval(t *rapid.T, s string) time.Duration {
	var sum float64
	rest := strings.TrimPrefix(s, "P")
	for rest != "" {
		rest = strings.TrimPrefix(rest, "T")
		end := strings.IndexAny(rest, "DHMS")
		v, err := strconv.ParseFloat(rest[:max(0, end)], 64)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		sum += v * map[byte]float64{'D': 86400, 'H': 3600, 'M': 60, 'S': 1}[rest[end]]
		rest = rest[end+1:]
	}
	return time.Duration(math.Round(sum*1e6)) * time.Microsecond
}
