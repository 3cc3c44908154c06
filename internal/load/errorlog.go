package load

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// mostErrors is how many different texts are kept.
const mostErrors = 8

// ErrorCount is an error's text and how many requests got it.
type ErrorCount struct {
	Text  string
	Count uint64
}

// errorLog counts errors by their texts.
type errorLog struct {
	mu    sync.Mutex
	texts map[string]uint64
}

// others stands for the texts beyond the first few.
const others = "other errors"

func (l *errorLog) add(err error) {
	text := err.Error()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(text, 1)
}

func (l *errorLog) count(text string, n uint64) {
	if l.texts == nil {
		l.texts = map[string]uint64{}
	}
	if _, known := l.texts[text]; !known && len(l.texts) >= mostErrors {
		text = others
	}
	l.texts[text] += n
}

// sorted are the texts, the most frequent first.
func (l *errorLog) sorted() []ErrorCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []ErrorCount
	for _, text := range slices.Sorted(maps.Keys(l.texts)) {
		all = append(all, ErrorCount{text, l.texts[text]})
	}
	slices.SortStableFunc(all, func(a, b ErrorCount) int { return cmp.Compare(b.Count, a.Count) })
	return all
}
