package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/store"
)

func TestFigures(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0.00", 1234 * time.Microsecond: "1.23", 9996 * time.Microsecond: "10.0", 99_960 * time.Microsecond: "100", 2 * time.Second: "2000",
	} {
		if got := millis(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	if got := percent(1, 3) + " " + percent(0, 0); got != "33.3% 0.0%" {
		t.Error(got)
	}
	var h hist.Histogram
	if got := quantile(h.Snapshot(), .5); got != "-" {
		t.Error(got)
	}
	for range 100 {
		h.Record(time.Millisecond)
	}
	if got := quantile(h.Snapshot(), .5) + " " + quantile(h.Snapshot(), .99); got != "1.00 ~1.00" {
		t.Error(got)
	}
}

func TestPaint(t *testing.T) {
	if got := (&report{}).paint(red, "x"); got != "x" {
		t.Errorf("%q", got)
	}
	if got := (&report{color: true}).paint(red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if onTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is no terminal")
	}
}

func TestCheckRow(t *testing.T) {
	for row, want := range map[string]error{
		`{"id":42,"name":"a"}`: nil, `{"id":421,"name":"a"}`: errWrongRow, `{"id":4,"name":"42,"}`: errWrongRow, `{}`: errWrongRow, ``: errWrongRow,
	} {
		if err := checkRow([]byte(row), 42); !errors.Is(err, want) {
			t.Errorf("%s: %v", row, err)
		}
	}
}

// The classes share what is read; what is written comes on top of it.
func TestShares(t *testing.T) {
	read, written := 0.0, 0.0
	for _, s := range streams() {
		if s.write {
			written += s.share
		} else {
			read += s.share
		}
	}
	if read < .999 || read > 1.001 || written != .01 {
		t.Errorf("shares of reads add up to %v, of writes to %v", read, written)
	}
}

// A class's errors are counted by key, and the first are told.
func TestTrafficCountsErrors(t *testing.T) {
	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{
		Fetch: func(context.Context, *fulcrum.Batch[store.Key, []byte]) error { return errors.New("no luck") },
	})
	if err != nil {
		t.Fatal(err)
	}
	tr := &traffic{
		reader: reader, url: "http://127.0.0.1:1/v1/users", client: newClient(), users: 1000, rate: 5000, seed: 1,
		forTime: 200 * time.Millisecond, started: time.Now(),
	}
	tr.run(t.Context())
	s := tr.summary()
	if s.Requests < 300 || s.Errors != s.Requests || s.Answered != 0 || len(s.FirstErrors) != keptErrors {
		t.Errorf("%+v", s)
	}
	var out strings.Builder
	if err := newReport(&out, false).finish(&out, s); err != nil || !strings.Contains(out.String(), "such as: ") || !strings.Contains(out.String(), "no luck") {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestWaitUntil(t *testing.T) {
	at := time.Now().Add(5 * time.Millisecond)
	if !waitUntil(t.Context(), at) || time.Now().Before(at) {
		t.Error("too early")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if waitUntil(ctx, time.Now().Add(time.Hour)) || waitUntil(ctx, time.Now()) {
		t.Error("waited for nothing")
	}
}

// Reports once: a gateway that stops by itself ends the demo with its error.
func TestWatchReportsTheListener(t *testing.T) {
	reader, err := fulcrum.NewReader(fulcrum.ReaderConfig[store.Key, []byte]{
		Fetch: func(context.Context, *fulcrum.Batch[store.Key, []byte]) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	served <- errors.New("the listener broke")
	tr := &traffic{reader: reader, started: time.Now()}
	if err := newReport(&bytes.Buffer{}, false).watch(tr, nil, served); err == nil || err.Error() != "the listener broke" {
		t.Error(err)
	}
}
