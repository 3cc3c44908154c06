package logs

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// A time is read as it was written, in each of the layouts, also right after one
// that shares its hour.
func TestTimesReadBack(t *testing.T) {
	var c clock
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", 60*rapid.IntRange(-12*60, 14*60).Draw(t, "zone"))
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).In(zone)
		for _, l := range []struct {
			layout string
			grain  time.Duration
		}{
			{"02/Jan/2006:15:04:05 -0700", time.Second}, {"[02/Jan/2006:15:04:05 -0700]", time.Second}, {time.RFC3339, time.Second}, {time.RFC3339Nano, 1},
			{"2006-01-02 15:04:05.000 -0700", time.Millisecond}, {"2006-01-02T15:04:05,000000-07:00", time.Microsecond},
		} {
			text := at.Format(l.layout)
			want := at.UnixNano() - at.UnixNano()%int64(l.grain)
			if ns, ok := c.any([]byte(text)); !ok || ns != want {
				t.Fatalf("%s is %d, want %d", text, ns, want)
			}
		}
		for unit, digits := range map[int64]string{1e9: "s", 1e6: "ms", 1e3: "µs", 1: "ns"} {
			n := at.UnixNano() / unit
			if n < 9e9 && unit < 1e9 {
				continue // shortly after 1970, milliseconds pass for seconds
			}
			if ns, ok := c.any(strconv.AppendInt(nil, n, 10)); n > 0 && (!ok || ns != n*unit) && at.Year() > 1971 {
				t.Fatalf("%d %s is %d", n, digits, ns)
			}
		}
	})
}

var combinedPattern = regexp.MustCompile(`^(\S+) .*?\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "((?:[^"\\]|\\.)*)" (\d{3})`)

// The fast parser reads what a regular expression does.
func TestCombinedIsWhatARegexpSays(t *testing.T) {
	var c combined
	var r usage.Record
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "-", "a b", `\"`, `\\`, `x\\\"y`, "ü", "[x]", "/a?b=c d"})
		at := time.Unix(rapid.Int64Range(0, 2e9).Draw(t, "at"), 0).UTC()
		line := fmt.Sprintf(`%s - %s [%s] "%s %s HTTP/%s" %03d %s "%s" "%s"`,
			rapid.SampledFrom([]string{"1.2.3.4", "::1", "host"}).Draw(t, "client"), rapid.SampledFrom([]string{"-", "frank", "a b"}).Draw(t, "user"), at.Format("02/Jan/2006:15:04:05 -0700"),
			rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"), "/"+text.Draw(t, "path"), "1.1", rapid.IntRange(100, 599).Draw(t, "status"), "12", text.Draw(t, "referer"), text.Draw(t, "agent"))
		if cut := rapid.IntRange(0, 3*len(line)).Draw(t, "cut"); cut < len(line) {
			line = line[:cut]
		}
		m := combinedPattern.FindStringSubmatch(line)
		got := c.parse([]byte(line), &r)
		if (m != nil) != (got == parsed) {
			t.Fatalf("%q: %v, the pattern says %q", line, got, m)
		}
		if m == nil {
			return
		}
		if string(r.Client) != m[1] || r.Time != at.UnixNano() || strconv.Itoa(r.Status) != strings.TrimLeft(m[4], "0") || string(r.Path) != string(pathOf([]byte(m[3]))) {
			t.Fatalf("%q: %s", line, told(&r))
		}
	})
}

// Values are split and unquoted as the standard library does, lines within them
// included.
func TestCSVIsTheStandardLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOf(rapid.SampledFrom([]rune("ab\",\n é")))
		var rows [][]string
		for i := range rapid.IntRange(1, 5).Draw(t, "rows") {
			rows = append(rows, []string{strconv.Itoa(i + 1), "x" + strings.TrimSpace(value.Draw(t, "value")) + "x"})
		}
		var text bytes.Buffer
		w := stdcsv.NewWriter(&text)
		if err := w.WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		s, err := Open(&text, Options{Format: "csv", Fields: []string{"1=time", "2=path"}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := s.Each(t.Context(), func(r *usage.Record) { got = append(got, string(r.Path)) }, nil); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(rows) || s.Skipped > 0 {
			t.Fatalf("%d of %d rows: %+v", len(got), len(rows), s.Broken)
		}
		for i := range rows {
			if got[i] != rows[i][1] {
				t.Fatalf("%q, want %q", got[i], rows[i][1])
			}
		}
	})
}

// A record written as JSON, as LTSV and by a format string is the same record.
func TestFormatsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(1e12, 2e12).Draw(t, "at")).UTC()
		path := "/" + rapid.StringMatching(`[a-z0-9/?=&]{0,20}`).Draw(t, "path")
		status, ms := rapid.IntRange(100, 599).Draw(t, "status"), rapid.IntRange(0, 1e6).Draw(t, "ms")
		object, err := json.Marshal(map[string]any{"time": at.Format(time.RFC3339Nano), "uri": path, "status": status, "latency_ms": ms, "remote_addr": "1.2.3.4"})
		if err != nil {
			t.Fatal(err)
		}
		seconds := strconv.FormatFloat(float64(ms)/1e3, 'f', 3, 64)
		want := ""
		for _, c := range []struct {
			text string
			o    Options
		}{
			{string(object), Options{}},
			{fmt.Sprintf("time:%s\turi:%s\tstatus:%d\treqtime:%s\thost:1.2.3.4", at.Format(time.RFC3339Nano), path, status, seconds), Options{}},
			{fmt.Sprintf("1.2.3.4 %s %d %s %s", at.Format(time.RFC3339Nano), status, seconds, path), Options{FormatString: "$remote_addr $time_iso8601 $status $request_time $request_uri"}},
		} {
			s, err := Open(strings.NewReader(c.text+"\n"), c.o)
			if err != nil {
				t.Fatalf("%s: %v", c.text, err)
			}
			got := ""
			if err := s.Each(t.Context(), func(r *usage.Record) { got = told(r) }, nil); err != nil {
				t.Fatal(err)
			}
			if want == "" {
				want = got
			}
			if got != want || got == "" {
				t.Fatalf("%s is %q, as JSON %q", c.text, got, want)
			}
		}
	})
}
