package regret

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
)

// Book keeps scores in a file, a line each, so that a run that was stopped goes on
// where it was.
type Book struct {
	mu     sync.Mutex
	out    *os.File
	scores map[entry]Score
}

type entry struct {
	Cell string `json:"cell"`
	Seed uint64 `json:"seed"`
	Who  string `json:"who"`
}

type line struct {
	entry
	Score
}

// OpenBook reads the scores of a file, which need not be there. Those whose
// contender begins with forget are not taken over.
func OpenBook(file, forget string) (*Book, error) {
	b := &Book{scores: map[entry]Score{}}
	in, err := os.Open(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		defer in.Close()
		for lines := bufio.NewScanner(in); lines.Scan(); {
			var l line
			if json.Unmarshal(lines.Bytes(), &l) == nil && (forget == "" || !strings.HasPrefix(l.Who, forget)) {
				b.scores[l.entry] = l.Score
			}
		}
	}
	b.out, err = os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	return b, err
}

// Close closes the file.
func (b *Book) Close() error { return b.out.Close() }

func (b *Book) get(e entry) (Score, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.scores[e]
	return s, ok
}

func (b *Book) put(e entry, s Score) error {
	text, err := json.Marshal(line{e, s})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scores[e] = s
	_, err = fmt.Fprintf(b.out, "%s\n", text)
	return err
}

// Fill runs what the book lacks, on all processors. Progress is told after each job.
func (b *Book) Fill(cells []Cell, contenders []Contender, seeds []uint64, progress func(done, of int)) error {
	var jobs []func() error
	for _, seed := range seeds {
		for _, c := range cells {
			jobs = append(jobs, func() error { return b.fillBest(c, seed) })
			for _, who := range contenders {
				jobs = append(jobs, func() error {
					_, err := b.score(c, who, seed)
					return err
				})
			}
		}
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		begun  int
		failed error
	)
	next := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		progress(begun, len(jobs))
		begun++
		return begun - 1, begun <= len(jobs)
	}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i, ok := next(); ok; i, ok = next() {
				if err := jobs[i](); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return failed
}

// score is a contender's in a cell, from the book if it is there.
func (b *Book) score(c Cell, who Contender, seed uint64) (Score, error) {
	e := entry{c.Name, seed, who.Name}
	if s, ok := b.get(e); ok {
		return s, nil
	}
	s := run(c, who, seed)
	return s, b.put(e, s)
}

// fillBest looks for the best fixed K: among the powers of two first, then between
// those beside the best of them.
func (b *Book) fillBest(c Cell, seed uint64) error {
	scores := map[int]Score{}
	for k := 1; k <= maxInFlight; k *= 2 {
		s, err := b.score(c, Fixed(k), seed)
		if err != nil {
			return err
		}
		scores[k] = s
		if k0 := best(scores); k >= 4*k0 && s.value() > 2*scores[k0].value() {
			break // it only becomes worse
		}
	}
	k0 := best(scores)
	for _, k := range FixedK {
		if k > k0/2 && k < 2*k0 {
			if _, err := b.score(c, Fixed(k), seed); err != nil {
				return err
			}
		}
	}
	return nil
}

// Best is the best fixed K of a cell, 0 if none is known, and its score.
func (b *Book) Best(cell string, seed uint64) (int, Score) {
	scores := map[int]Score{}
	for _, k := range FixedK {
		if s, ok := b.get(entry{cell, seed, Fixed(k).Name}); ok {
			scores[k] = s
		}
	}
	k := best(scores)
	return k, scores[k]
}
