package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress is a line on a terminal that says what is measured, and how long it will
// still take. Elsewhere it says nothing.
type progress struct {
	out io.Writer

	mu    sync.Mutex
	what  string
	left  int           // steps, with the one that is measured
	each  time.Duration // of a step
	began time.Time
	stop  chan struct{}
	ended sync.WaitGroup
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if !onTerminal(out) {
		p.out = io.Discard
		return p
	}
	p.stop = make(chan struct{})
	p.ended.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show(time.Now())
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// begin says how many steps are left.
func (p *progress) begin(left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = left
}

// step says which one begins, and how long it takes.
func (p *progress) step(name string, o offer, takes time.Duration) {
	p.mu.Lock()
	p.what, p.each, p.began = fmt.Sprintf("%s at %s", name, o), takes, time.Now()
	p.mu.Unlock()
	p.show(time.Now())
}

// done says that a step is.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left--
}

const eraseLine = "\r\x1b[K"

func (p *progress) show(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.what != "" {
		fmt.Fprintf(p.out, "%s%s · %s left", eraseLine, p.what, p.remaining(now))
	}
}

// remaining is the rest of this step and all of the others.
func (p *progress) remaining(now time.Time) string {
	rest := max(0, p.each-now.Sub(p.began)) + time.Duration(max(0, p.left-1))*p.each
	text := rest.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}

// erase makes room for a line of the results.
func (p *progress) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.what != "" {
		fmt.Fprint(p.out, eraseLine)
	}
}

// end leaves no trace.
func (p *progress) end() {
	if p.stop != nil {
		close(p.stop)
		p.ended.Wait()
		p.stop = nil
	}
	p.erase()
}
