package logs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// combinedLog makes lines of a shop: 200,000 clients, half a million pages after
// Zipf's law, 200 requests a second.
func combinedLog(lines int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	pages := rand.NewZipf(random, 1.1, 5, 500_000)
	agents := []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36",
		"Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	}
	var b bytes.Buffer
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for range lines {
		at = at.Add(time.Duration(random.ExpFloat64() * float64(time.Second) / 200))
		client, page := random.IntN(200_000), pages.Uint64()
		path := [...]string{"/products/%d", "/users/%d/orders?page=1", "/static/img/%d.png", "/search?q=term%d&sort=asc"}[page%4]
		fmt.Fprintf(&b, "10.%d.%d.%d - - [%s] \"GET %s HTTP/1.1\" 200 %d \"https://shop.example.com/\" \"%s\"\n", client>>16, client>>8&255, client&255,
			at.Format("02/Jan/2006:15:04:05 -0700"), fmt.Sprintf(path, page), random.IntN(50_000), agents[random.IntN(len(agents))])
	}
	return b.Bytes()
}

// BenchmarkCombined is the full analysis of a combined log, on one core: lines/s.
func BenchmarkCombined(b *testing.B) {
	const lines = 1_000_000
	text := combinedLog(lines)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s, err := Open(bytes.NewReader(text), Options{})
		if err != nil {
			b.Fatal(err)
		}
		a := usage.New(usage.Config{Resolution: s.Resolution})
		if err := s.Each(b.Context(), a.Add, nil); err != nil {
			b.Fatal(err)
		}
		if r := a.Report(); r.Requests != lines {
			b.Fatalf("%d requests", r.Requests)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkParseCombined is the parser alone.
func BenchmarkParseCombined(b *testing.B) {
	lines := bytes.SplitAfter(combinedLog(100_000), []byte("\n"))
	lines = lines[:len(lines)-1]
	var c combined
	var r usage.Record
	n := 0
	for b.Loop() {
		line := lines[n%len(lines)]
		if n++; c.parse(line[:len(line)-1], &r) != parsed {
			b.Fatalf("%q", line)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lines/s")
}
