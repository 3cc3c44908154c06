package store

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestJSONTypes(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	for want, got := range map[string][]byte{
		`null`:                               AppendNull(nil),
		`true`:                               AppendBool(nil, true),
		`9007199254740992`:                   AppendInt(nil, 1<<53),
		`"9007199254740993"`:                 AppendInt(nil, 1<<53+1),
		`-9007199254740992`:                  AppendInt(nil, -1<<53),
		`"-9223372036854775808"`:             AppendInt(nil, math.MinInt64),
		`7`:                                  AppendUint(nil, 7),
		`"18446744073709551615"`:             AppendUint(nil, math.MaxUint64),
		`"NaN"`:                              AppendFloat(nil, math.NaN()),
		`"Infinity"`:                         AppendFloat(nil, math.Inf(1)),
		`"-Infinity"`:                        AppendFloat(nil, math.Inf(-1)),
		`-0`:                                 AppendFloat(nil, math.Copysign(0, -1)),
		`1e+21`:                              AppendFloat(nil, 1e21),
		`5e-324`:                             AppendFloat(nil, math.SmallestNonzeroFloat64),
		`0.1`:                                AppendFloat(nil, 0.1),
		`"AP8="`:                             AppendBytes(nil, []byte{0, 255}),
		`""`:                                 AppendBytes(nil, nil),
		`{"a":[1]}`:                          AppendRaw(nil, []byte(`{"a":[1]}`)),
		`"2026-01-02T03:04:05.000006+02:00"`: AppendTime(nil, time.Date(2026, 1, 2, 3, 4, 5, 6000, zone)),
		`"2026-01-02T03:04:05Z"`:             AppendTime(nil, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		"\"a\\\"\\\\\\n\\u0000\u00e4\U0001F600\ufffd\\u2028\"": AppendText(nil, "a\"\\\n\x00\u00e4\U0001F600\xff\u2028"),
	} {
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFields(t *testing.T) {
	got := bytes.Join(Fields([]string{"id", `a"b`}), []byte("0"))
	if want := `{"id":0,"a\"b":`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// encoding/json is the oracle: the same text for text, floats, bytes and times.
func FuzzAppendJSON(f *testing.F) {
	f.Add("a\"\u2028\xff\x00\x7f", int64(1)<<53, 1.5)
	f.Add("\xe2\x80", int64(math.MinInt64), math.Copysign(0, -1))
	f.Add("\xed\xa0\x80", int64(-1), 1e-7)
	f.Fuzz(func(t *testing.T, s string, n int64, x float64) {
		same(t, AppendText(nil, s), oracle(t, s))
		same(t, AppendText(nil, []byte(s)), oracle(t, s))
		same(t, AppendBytes(nil, []byte(s)), oracle(t, []byte(s)))
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			var back float64
			if err := json.Unmarshal(AppendFloat(nil, x), &back); err != nil || back != x {
				t.Errorf("%v came back as %v, %v", x, back, err)
			}
		}
		want := oracle(t, n)
		if n > maxExact || n < -maxExact {
			want = `"` + want + `"`
		}
		same(t, AppendInt(nil, n), want)
		if at := time.Unix(n%1e11, n&0xfffff).UTC(); at.Year() >= 0 && at.Year() <= 9999 {
			same(t, AppendTime(nil, at), oracle(t, at))
		}
		if row := append(AppendText(Fields([]string{s})[0], s), '}'); !json.Valid(row) || !utf8.Valid(row) {
			t.Errorf("row is no JSON: %q", row)
		}
	})
}

func same(t *testing.T, got []byte, want string) {
	t.Helper()
	if string(got) != want {
		t.Errorf("got %q, encoding/json says %q", got, want)
	}
}

// oracle is what encoding/json writes. It escapes U+FFFD that replaces bad bytes,
// and two control characters in the long form in some versions.
func oracle(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	out := strings.TrimSuffix(b.String(), "\n")
	if _, isText := v.(string); isText {
		out = strings.ReplaceAll(out, `\ufffd`, "\ufffd")
	}
	return out
}

func BenchmarkAppendText(b *testing.B) {
	text := strings.Repeat("plain text of a profile, ", 8)
	buf := make([]byte, 0, 1024)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		buf = AppendText(buf[:0], text)
	}
}
