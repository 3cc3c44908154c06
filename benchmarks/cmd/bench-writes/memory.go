package main

import (
	"context"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
)

// message is what the sink is sent: 256 bytes, of one of 100,000 senders.
type message struct {
	sender string
	text   [256]byte
}

// wantedMessages is the target, as if it were a rival.
const wantedMessages = 1_000_000

func memoryCells() ([]duel.Cell, func(), error) {
	cell := func(name string, order func(*message) string) duel.Cell {
		return duel.Cell{
			Name: name, Target: 1,
			Ours:   func(d time.Duration) (float64, error) { return messages(d, order) },
			Theirs: func(time.Duration) (float64, error) { return wantedMessages, nil },
		}
	}
	return []duel.Cell{
		cell("no order", nil),
		cell("in order for each of 100,000 senders", func(m *message) string { return m.sender }),
	}, func() {}, nil
}

// messages has two callers send for so long, and counts until all have reached the sink.
func messages(d time.Duration, order func(*message) string) (float64, error) {
	w, err := fulcrum.NewWriter(fulcrum.WriterConfig[*message, struct{}]{
		Apply:   func(context.Context, *fulcrum.Commit[*message, struct{}]) error { return nil },
		OrderBy: order,
		Size:    func(m *message) int { return len(m.text) + len(m.sender) },
	})
	if err != nil {
		return 0, err
	}
	ctx := context.Background()
	began := time.Now()
	const callers = 2
	_, err = duel.Load{Callers: callers, Op: func(caller, i int) error {
		m := &message{sender: senders[(i*callers+caller)%len(senders)]}
		for {
			if _, err := w.Write(ctx, m, fulcrum.InMemory); err == nil {
				return nil
			}
			if err := w.Flush(ctx); err != nil { // it is full
				return err
			}
		}
	}}.Run(d)
	if err == nil {
		err = w.Flush(ctx)
	}
	took := time.Since(began)
	made := w.Stats().Keys
	if ended := w.Shutdown(ctx); err == nil {
		err = ended
	}
	return float64(made) / took.Seconds(), err
}

var senders = func() []string {
	all := make([]string, 100_000)
	for i := range all {
		all[i] = "sender " + string(rune('a'+i%26)) + time.Duration(i).String()
	}
	return all
}()
