package model

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
	"time"
)

const (
	kept  = 64 // samples that a bucket remembers
	fifth = 5  // one in five samples lies at or below the quantile that stands for a bucket: p20
)

// sample is one batch.
type sample struct {
	at time.Duration // when it was observed
	t  time.Duration // its service time
	n  int           // its items
}

// bucket remembers the last batches of about one size, and the point they make.
type bucket struct {
	ring  [kept]sample
	order [kept]byte // the positions in ring, by rising t
	count int        // samples ever
	point point
	fresh bool // the point knows all samples
}

// point is what a bucket says of T(n).
type point struct {
	n, t   float64       // items, ns
	count  int           // samples behind it
	oldest time.Duration // when the first of them came
}

// size is the bucket of n ≥ 1: 0 for 1, 1 for 2 and 3, 2 for 4 to 7, and so on.
func size(n int) int { return min(bits.Len(uint(n))-1, sizes-1) }

// add puts a sample in the oldest one's place and keeps the order, which is cheaper
// than sorting whenever a point is asked for.
func (b *bucket) add(s sample) {
	slot := byte(b.count % kept)
	order := b.order[:min(b.count, kept)]
	if b.count >= kept {
		i := bytes.IndexByte(order, slot)
		order = slices.Delete(order, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(order, s.t, func(at byte, t time.Duration) int { return cmp.Compare(b.ring[at].t, t) })
	copy(b.order[i+1:], order[i:])
	b.order[i] = slot
	b.ring[slot] = s
	b.count++
	b.fresh = false
}

// since is the point of the samples since that time. It is worked out again only if
// samples came or became too old.
func (b *bucket) since(t time.Duration) point {
	if b.fresh && (b.point.count == 0 || b.point.oldest >= t) {
		return b.point
	}
	var room [kept]sample
	samples := room[:0]
	for _, at := range b.order[:min(b.count, kept)] {
		if s := b.ring[at]; s.at >= t {
			samples = append(samples, s)
		}
	}
	b.point, b.fresh = summarise(samples), true
	return b.point
}

// summarise makes the point of samples in the order of t.
func summarise(samples []sample) point {
	if len(samples) == 0 {
		return point{}
	}
	rank := (len(samples) - 1) / fifth
	p := point{t: float64(samples[rank].t), count: len(samples), oldest: samples[0].at}
	for _, s := range samples {
		p.oldest = min(p.oldest, s.at)
	}
	around := samples[:2*rank+1] // as many below the rank as above
	for _, s := range around {
		p.n += float64(s.n)
	}
	p.n /= float64(len(around))
	return p
}
