package logs

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// fuzzFormat reads anything as one format, or as whatever it looks like. Each
// request must be one that an Analyzer takes, and lines must add up.
func fuzzFormat(f *testing.F, o Options, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Open(bytes.NewReader(text), o)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		a := usage.New(usage.Config{Resolution: s.Resolution, MaxKeys: 1000, MaxHours: 3, SampledKeys: 100})
		n := 0
		err = s.Each(t.Context(), func(r *usage.Record) {
			if n++; n > 100_000 {
				return // a few blocks' numbers may stand for millions of keys
			}
			if r.Took < -1 || r.Times < 0 || r.Time != usage.NoTime && (r.Time < -1<<62 && s.Format != "trace:counts") {
				t.Fatalf("%+v", r)
			}
			if r.Times <= 1000 {
				a.Add(r)
			}
		}, nil)
		if err != nil && errors.Is(err, t.Context().Err()) {
			t.Fatal(err)
		}
		if s.Skipped > s.Lines+1 {
			t.Errorf("%d of %d lines skipped", s.Skipped, s.Lines)
		}
		if n > 0 && n <= 100 {
			a.Report()
		}
	})
}

const combinedLine = `1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.0" 200 2326 "http://x/" "Mozilla \"x\"" 0.5` + "\n"

func FuzzCombined(f *testing.F) {
	fuzzFormat(f, Options{Format: "combined"}, combinedLine, combinedLine[:40])
}
func FuzzLTSV(f *testing.F) {
	fuzzFormat(f, Options{Format: "ltsv"}, "time:1\thost:a\treq:GET / HTTP/1.1\ttime_taken:1.5\n")
}
func FuzzJSON(f *testing.F) {
	fuzzFormat(f, Options{Format: "json"}, `{"time":1,"a":{"status":200},"duration":"1s"}`)
}
func FuzzW3C(f *testing.F) {
	fuzzFormat(f, Options{Format: "iis"}, "#Fields: date time cs-uri-stem cs-uri-query time-taken\n2016-01-10 00:07:26 /a x 591\n")
}
func FuzzCSV(f *testing.F) {
	fuzzFormat(f, Options{Format: "csv"}, "time,path\n1,\"a\nb\"\n", "1,\"\n")
}
func FuzzOpenStack(f *testing.F) {
	fuzzFormat(f, Options{Format: "openstack"}, `x 2017-05-16 00:00:00.008 1 INFO [-] 1.1.1.1 "GET / HTTP/1.1" status: 200 len: 1 time: 0.2`)
}
func FuzzEnvoy(f *testing.F) {
	fuzzFormat(f, Options{Format: "envoy"}, `[2016-04-15T20:17:00.310Z] "POST /a HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "x"`)
}
func FuzzPGLog(f *testing.F) {
	fuzzFormat(f, Options{Format: "pg-csvlog"}, pgLine("2024-01-01 10:00:00.500 UTC", "LOG", "duration: 1.500 ms  statement: select 1", ""))
}
func FuzzPGStat(f *testing.F) {
	fuzzFormat(f, Options{Format: "pg-stat-statements"}, "query,calls\na,1\n")
}
func FuzzBlocks(f *testing.F) { fuzzFormat(f, Options{Format: "trace:start-count"}, "1 2 3 4\n") }
func FuzzCounts(f *testing.F) { fuzzFormat(f, Options{Format: "trace:counts"}, "1 2 3 4\n") }
func FuzzInt32(f *testing.F)  { fuzzFormat(f, Options{Format: "trace:int32be"}, "\x00\x00\x00\x01") }
func FuzzInt64(f *testing.F) {
	fuzzFormat(f, Options{Format: "trace:int64be"}, "\x00\x00\x00\x00\x00\x00\x00\x01")
}
func FuzzDetect(f *testing.F) {
	fuzzFormat(f, Options{}, combinedLine, "1 2\n", "\x1f\x8b", "BZh9", "{}", "#Fields: time\n")
}

func FuzzFormatString(f *testing.F) {
	f.Add(`$remote_addr [$time_local] "$request" $status`, combinedLine)
	f.Add(`%h %t "%r" %>s %D`, combinedLine)
	f.Add(envoyDefault, "")
	f.Fuzz(func(t *testing.T, format, line string) {
		template, err := newTemplate(format)
		if err != nil {
			return
		}
		var r usage.Record
		for _, l := range strings.Split(line, "\n") {
			template.parse([]byte(l), &r)
		}
	})
}
