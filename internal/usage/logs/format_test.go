package logs

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// told writes a record as tests compare it.
func told(r *usage.Record) string {
	var b strings.Builder
	if r.Time != usage.NoTime {
		b.WriteString(time.Unix(0, r.Time).UTC().Format("2006-01-02T15:04:05.999999999 "))
	}
	fmt.Fprintf(&b, "%s %s", r.Client, r.Path)
	if r.Status != 0 {
		fmt.Fprintf(&b, " %d", r.Status)
	}
	if r.Took >= 0 {
		fmt.Fprintf(&b, " took %s", r.Took)
	}
	if len(r.Agent) > 0 {
		fmt.Fprintf(&b, " by %s", r.Agent)
	}
	if r.Aborted {
		b.WriteString(" aborted")
	}
	if r.Times > 0 {
		fmt.Fprintf(&b, " ×%d", r.Times)
	}
	return b.String()
}

// read reads a log that is a text.
func read(t testing.TB, text string, o Options) (s *Source, records []string) {
	t.Helper()
	s, err := Open(strings.NewReader(text), o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := s.Each(t.Context(), func(r *usage.Record) { records = append(records, told(r)) }, nil); err != nil {
		t.Fatal(err)
	}
	return s, records
}

// Each format is found out by itself, unless there are options.
func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name, text string
		options    Options
		format     string
		skipped    uint64
		want       []string
	}{
		{"combined", `::1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.0" 200 2326 "http://x/" "Mozilla \"x\""
- - - [10/Oct/2000:13:55:37 -0700] "GET /a b HTTP/1.0" 499 - "-" "-"
1.2.3.4 - a b [10/Oct/2000:13:55:37 -0700] "\x16\x03" 400 0 "-" "-"
nonsense
`, Options{}, "combined", 1, []string{"2000-10-10T20:55:36 ::1 /a?b=1 200", "2000-10-10T20:55:37 - /a b 499", "2000-10-10T20:55:37 1.2.3.4  400"}},
		{"combined with nginx's request time", `1.2.3.4 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8" 0.125
1.2.3.4 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8" 125
`, Options{}, "combined", 0, []string{"2000-10-10T13:55:36 1.2.3.4 / 200 took 125ms by curl/8", "2000-10-10T13:55:36 1.2.3.4 / 200"}},
		{"common", "h - - [01/Feb/2024:00:00:01 +0000] \"POST /x HTTP/2.0\" 204 -\r\n", Options{}, "common", 0, []string{"2024-02-01T00:00:01 h /x 204"}},
		{"LTSV", "time:[12/Mar/2023:10:55:36 +0000]\thost:1.2.3.4\treq:GET /x HTTP/1.1\tstatus:200\treqtime:0.25\tua:curl\n\nhost:x\n", Options{}, "ltsv", 1,
			[]string{"2023-03-12T10:55:36 1.2.3.4 /x 200 took 250ms by curl"}},
		{"JSON", `{"time":"2015-09-06T05:58:05.25+09:00","uri":"/a?b","status":200,"response_time":"-","ua":"x"}
{"ts":1441486685.5,"request":{"uri":"/y","remote_ip":"1.1.1.1"},"status":200,"duration":0.5}
{"time":"2015-09-06T05:58:05Z","uri":"/é\n","latency_ms":12,"aborted":true}
{"time":}
`, Options{}, "json", 1, []string{"2015-09-05T20:58:05.25  /a?b 200 by x", "2015-09-05T20:58:05.5 1.1.1.1 /y 200 took 500ms", "2015-09-06T05:58:05  /é\n took 12ms aborted"}},
		{"JSON with other names", `{"a":{"when":1700000000123},"what":"/q","wait":"15ms","code":7}`, Options{Fields: []string{"a.when=time", "what=path", "wait=ms"}}, "json", 0,
			[]string{"2023-11-14T22:13:20.123  /q 7 took 15ms"}},
		{"Envoy's JSON", `{"start_time":"2024-01-01T00:00:00.001Z","path":"/x","response_code":200,"response_flags":"DC","duration":120}`, Options{}, "json", 0,
			[]string{"2024-01-01T00:00:00.001  /x 200 took 120ms aborted"}},
		{"IIS", "#Software: Microsoft Internet Information Services 8.5\n#Fields: date time cs-uri-stem cs-uri-query c-ip cs(User-Agent) sc-status time-taken\n2016-01-10 00:07:26 /a.php - 1.2.3.4 Moz+x 404 591\n2016-01-10 00:07:27 /b x=1 1.2.3.4 - 200 0\nbad line\n#Fields: date time cs-uri-stem\n2016-01-10 00:07:28 /c\n",
			Options{}, "iis", 1, []string{"2016-01-10T00:07:26 1.2.3.4 /a.php 404 took 591ms by Moz+x", "2016-01-10T00:07:27 1.2.3.4 /b?x=1 200 took 0s", "2016-01-10T00:07:28  /c"}},
		{"CloudFront", "#Version: 1.0\n#Fields: date time c-ip cs-uri-stem sc-status time-taken\n2019-12-04\t21:02:31\t192.0.2.100\t/index.html\t200\t0.001\n", Options{}, "iis", 0,
			[]string{"2019-12-04T21:02:31 192.0.2.100 /index.html 200 took 1ms"}},
		{"CSV with a header", "TIMESTAMP,Path,duration_ms,x\n2023-11-16 18:15:46.6805900,\"/a,\"\"b\"\"\",12.5,3\n2023-11-16 18:15:47,\"/two\nlines\",1,3\nnot a time,/,1,3\n", Options{}, "csv", 1,
			[]string{"2023-11-16T18:15:46.68059  /a,\"b\" took 12.5ms", "2023-11-16T18:15:47  /two\nlines took 1ms"}},
		{"CSV without one", "10.25,x\n11,y\n", Options{}, "csv", 0, []string{"1970-01-01T00:00:10.25  ", "1970-01-01T00:00:11  "}},
		{"CSV columns by number", "a,1700000000\nb,1700000001\n", Options{Format: "csv", Fields: []string{"1=key", "2=time"}}, "csv", 0,
			[]string{"2023-11-14T22:13:20  a", "2023-11-14T22:13:21  b"}},
		{"OpenStack", "nova.log 2017-05-16 00:00:00.008 25746 INFO nova.wsgi [req-1 - -] 10.11.10.1 \"GET /v2/x HTTP/1.1\" status: 200 len: 1893 time: 0.2477829\nnova.log 2017-05-16 00:00:00.009 1 INFO other\n", Options{}, "openstack", 1,
			[]string{"2017-05-16T00:00:00.008 10.11.10.1 /v2/x 200 took 247.7829ms"}},
		{"Envoy", `[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 DC 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0" "locations" "tcp://10.0.2.1:80"` + "\n", Options{}, "envoy", 0,
			[]string{"2016-04-15T20:17:00.31  /api/v1/locations 204 took 226ms by nsq2http aborted"}},
		{"pg csvlog", pgLine("2024-01-01 10:00:00.500 UTC", "LOG", "duration: 1.500 ms  execute <unnamed>: select 1", "") +
			pgLine("2024-01-01 10:00:01.000 UTC", "LOG", "connection received", "") +
			pgLine("2024-01-01 10:00:02.000 UTC", "ERROR", "canceling statement due to user request", "select 2"), Options{}, "pg-csvlog", 0,
			[]string{"2024-01-01T10:00:00.4985 10.0.0.1 select 1 took 1.5ms", "2024-01-01T10:00:02 10.0.0.1 select 2 aborted"}},
		{"pg_stat_statements", "userid,dbid,queryid,query,calls,total_exec_time\n10,5,7,\"select $1,\n $2\",120,55.5\n10,5,8,commit,3,1\n", Options{}, "pg-stat-statements", 0,
			[]string{" select $1,\n $2 ×120", " commit ×3"}},
		{"blocks", "10 3 0 0\n7 1 0 1\n", Options{}, "trace:start-count", 0, []string{" 10", " 11", " 12", " 7"}},
		{"counts", "0 2 1\n0\nx 1", Options{Format: "trace:counts"}, "trace:counts", 1, []string{"1970-01-01T00:00:01   ×2", "1970-01-01T00:00:02   ×1", "1970-01-01T00:00:05   ×1"}},
		{"int64be", integersOf(binary.BigEndian.AppendUint64, 17), Options{}, "trace:int64be", 0, numbers(17)},
		{"int32be", integersOf(binary.BigEndian.AppendUint32, 33), Options{}, "trace:int32be", 0, numbers(33)},
		{"int32be with a rest", integersOf(binary.BigEndian.AppendUint32, 2) + "x", Options{Format: "trace:int32be"}, "trace:int32be", 1, numbers(2)},
		{"nginx's format", "1.2.3.4 | 2024-01-01T00:00:00+01:00 | GET /x HTTP/1.1 | 499 | 0.020 | \"a \\\" b\"\n|\n",
			Options{FormatString: `$remote_addr | $time_iso8601 | $request | $status | ${request_time} | "$http_user_agent"`}, "template", 1,
			[]string{"2023-12-31T23:00:00 1.2.3.4 /x 499 took 20ms by a \\\" b"}},
		{"Apache's format", "[10/Oct/2000:13:55:36 +0000] h 200 \"GET /x HTTP/1.1\" 1500\n",
			Options{FormatString: `%t %h %>s "%r" %D`}, "template", 0, []string{"2000-10-10T13:55:36 h /x 200 took 1.5ms"}},
		{"Envoy's format", "2024-01-01T00:00:00.5Z /x 7\n", Options{FormatString: `%START_TIME% %REQ(:PATH)% %DURATION%`}, "template", 0,
			[]string{"2024-01-01T00:00:00.5  /x took 7ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, got := read(t, c.text, c.options)
			if s.Format != c.format || s.Skipped != c.skipped {
				t.Errorf("format %s, %d skipped, want %s and %d: %+v", s.Format, s.Skipped, c.format, c.skipped, s.Broken)
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func pgLine(at, severity, message, query string) string {
	return at + `,"u","d",1,"10.0.0.1:5000",65a.1,1,"SELECT",2024-01-01 09:00:00 UTC,3/4,0,` + severity + `,00000,"` + message + `",,,,,,"` + query + `",,,"psql"` + "\n"
}

func integersOf[T uint32 | uint64](put func([]byte, T) []byte, n int) string {
	var b []byte
	for i := range n {
		b = put(b, T(i))
	}
	return string(b)
}

func numbers(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(" %d", i))
	}
	return all
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]string{
		"17/May/2015:10:05:03 +0000":     "2015-05-17T10:05:03Z",
		"[17/May/2015:10:05:03 -0130]":   "2015-05-17T11:35:03Z",
		"2015-05-17T10:05:03.123456789Z": "2015-05-17T10:05:03.123456789Z",
		"2015-05-17 10:05:03,5 +02":      "2015-05-17T08:05:03.5Z",
		"2015-05-17 10:05:03 UTC":        "2015-05-17T10:05:03Z",
		"1431857103":                     "2015-05-17T10:05:03Z",
		"1431857103.25":                  "2015-05-17T10:05:03.25Z",
		"1431857103250":                  "2015-05-17T10:05:03.25Z",
		"1431857103250000":               "2015-05-17T10:05:03.25Z",
		"1431857103250000001":            "2015-05-17T10:05:03.250000001Z",
		"12.5":                           "1970-01-01T00:00:12.5Z",
	} {
		for range 2 { // the second time from memory
			var c clock
			ns, ok := c.any([]byte(text))
			if got := time.Unix(0, ns).UTC().Format(time.RFC3339Nano); !ok || got != want {
				t.Errorf("%s: %s %v, want %s", text, got, ok, want)
			}
		}
	}
	var c clock
	for _, text := range []string{"", "-", "x", "17/Mai/2015:10:05:03 +0000", "17/May/2015:10:65:03 +0000", "2015-13-17 10:05:03", "2015-05-17 10:05:03 PST", "NaN", "1e300", "-9223372036854775808", "99999-05-17 10:05:03"} {
		if ns, ok := c.any([]byte(text)); ok {
			t.Errorf("%q is %d", text, ns)
		}
	}
}

// A log is the same under any compression, and archived.
func TestCompression(t *testing.T) {
	const text = "0.5\n1.5\n2.25\n"
	pack := func(w interface {
		Write([]byte) (int, error)
		Close() error
	}) {
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var gz, x, zst bytes.Buffer
	pack(gzip.NewWriter(&gz))
	xw, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	pack(xw)
	zw, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	pack(zw)
	var twice bytes.Buffer
	again := gzip.NewWriter(&twice)
	if _, err := again.Write(zst.Bytes()); err != nil {
		t.Fatal(err)
	}
	again.Close()
	// bzip2 -9 of the text: the standard library only reads it.
	for name, c := range map[string]struct{ data, layers string }{
		"plain": {text, ""}, "gzip": {gz.String(), "gzip"}, "two gzip members": {gz.String() + gz.String(), "gzip"}, "xz": {x.String(), "xz"}, "zstd": {zst.String(), "zstd"}, "zstd in gzip": {twice.String(), "gzip,zstd"},
	} {
		s, got := read(t, c.data, Options{})
		want := []string{"1970-01-01T00:00:00.5  ", "1970-01-01T00:00:01.5  ", "1970-01-01T00:00:02.25  "}
		if name == "two gzip members" {
			want = append(want, want...)
		}
		if strings.Join(got, "|") != strings.Join(want, "|") || strings.Join(s.Layers, ",") != c.layers {
			t.Errorf("%s: %q, layers %v", name, got, s.Layers)
		}
	}
	s, err := Open(bytes.NewReader(gz.Bytes()[:len(gz.Bytes())-9]), Options{})
	if err == nil {
		err = s.Each(t.Context(), func(*usage.Record) {}, nil)
	}
	if err == nil || !strings.Contains(err.Error(), "gzip is damaged or cut off") {
		t.Errorf("half a file: %v", err)
	}
}

func TestLongLinesAreBroken(t *testing.T) {
	s, got := read(t, "1.5\n"+strings.Repeat("9", 3<<20)+"\n2.5\n", Options{Format: "csv"})
	if len(got) != 2 || s.Skipped != 1 || s.Lines != 3 || s.Broken[0].Number != 2 || !strings.HasSuffix(s.Broken[0].Text, "…") {
		t.Errorf("%q, %+v", got, s)
	}
}

func TestResolution(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"10\n12\n":           time.Second,
		"10.5\n12.125\n":     time.Millisecond,
		"10.5\n12.0000025\n": 0,
		"10.5\n12.000003\n":  0,
		"h - - [01/Feb/2024:00:00:01 +0000] \"POST /x HTTP/2.0\" 204 -\n": time.Second,
	} {
		if s, _ := read(t, text, Options{}); s.Resolution != want {
			t.Errorf("%q: %s, want %s", text, s.Resolution, want)
		}
	}
}

// Lines of the formats that matter most cost no memory.
func TestCombinedAllocatesNothing(t *testing.T) {
	line := []byte(`10.1.225.151 - - [01/Mar/2026:00:00:00 +0000] "GET /products/272 HTTP/1.1" 200 39829 "https://shop.example.com/" "Mozilla/5.0"`)
	var c combined
	var r usage.Record
	if n := testing.AllocsPerRun(100, func() { c.parse(line, &r) }); n > 0 || r.Status != 200 {
		t.Errorf("%v allocations", n)
	}
}
