package faultproxy

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// fill puts up to n bytes that count upwards and returns the next one.
func fill(q *queue, n int, next byte, due time.Time, end ending) byte {
	room := q.room()
	n = min(n, len(room))
	for i := range n {
		room[i] = next
		next++
	}
	q.put(n, due, end)
	return next
}

func TestQueueKeepsEveryByteThroughGrowthAndWrap(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		limit := 1 + r.IntN(300_000)
		q := newQueue(limit)
		now := time.Now()
		var in, out byte
		for range 500 {
			if q.held < limit && r.IntN(2) == 0 {
				in = fill(q, 1+r.IntN(20_000), in, now, goesOn)
				continue
			}
			data, end := q.ready(now)
			if end != goesOn {
				t.Fatalf("seed %d: an end that nobody put", seed)
			}
			data = data[:r.IntN(len(data)+1)] // as if only this was written
			for _, b := range data {
				if b != out {
					t.Fatalf("seed %d: got %d, want %d", seed, b, out)
				}
				out++
			}
			q.take(len(data))
		}
		if len(q.ring) > limit {
			t.Errorf("seed %d: the ring has %d bytes, the limit is %d", seed, len(q.ring), limit)
		}
	}
}

func TestQueueReleasesOnlyWhatIsDue(t *testing.T) {
	t.Parallel()
	q := newQueue(1000)
	now := time.Now()
	fill(q, 3, 0, now, goesOn)
	fill(q, 2, 3, now.Add(time.Second), goesOn)
	fill(q, 1, 5, now, goesOn) // a shorter delay does not overtake
	if data, _ := q.ready(now); !bytes.Equal(data, []byte{0, 1, 2}) {
		t.Errorf("got %v", data)
	}
	q.take(3)
	if due, ok := q.head(); !ok || !due.Equal(now.Add(time.Second)) {
		t.Errorf("the next is due at %v (%v)", due, ok)
	}
	if data, _ := q.ready(now.Add(time.Second)); !bytes.Equal(data, []byte{3, 4, 5}) {
		t.Errorf("got %v", data)
	}
}

func TestQueueReportsTheEndAfterTheLastByte(t *testing.T) {
	t.Parallel()
	q := newQueue(1000)
	now := time.Now()
	fill(q, 4, 0, now, goesOn)
	q.put(0, now.Add(time.Second), finished)
	data, end := q.ready(now)
	if len(data) != 4 || end != goesOn {
		t.Errorf("got %v and %v, want the bytes alone", data, end)
	}
	q.take(len(data))
	if data, end = q.ready(now.Add(time.Second)); len(data) != 0 || end != finished {
		t.Errorf("got %v and %v, want the end alone", data, end)
	}
}

func TestQueueReportsLastWordsOnceTheyAreWhole(t *testing.T) {
	t.Parallel()
	q := newQueue(10)
	now := time.Now()
	fill(q, 8, 0, now, goesOn)
	q.take(8)
	q.from = 8 // as after a partial drain: the next bytes wrap around
	copy(q.ring[8:], "ab")
	copy(q.ring, "cd")
	q.put(4, now, lastWords)
	data, end := q.ready(now)
	if string(data) != "ab" || end != goesOn {
		t.Errorf("got %q and %v, want the first half and no end", data, end)
	}
	q.take(len(data))
	if data, end = q.ready(now); string(data) != "cd" || end != lastWords {
		t.Errorf("got %q and %v, want the second half and the end", data, end)
	}
}

func TestAClosedQueueWakesBothSides(t *testing.T) {
	t.Parallel()
	full, none := newQueue(4), newQueue(4)
	fill(full, 4, 0, time.Now(), goesOn)
	woken := make(chan bool, 2)
	go func() { woken <- full.room() == nil }()
	go func() { _, ok := none.head(); woken <- !ok }()
	full.close()
	none.close()
	for range 2 {
		if !<-woken {
			t.Error("a closed queue gave something")
		}
	}
}
