package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/journal"
)

const (
	recordSize = 256
	// kept is how many records are not trimmed, as if applying were so far behind.
	kept = 10_000
)

// line is a record as the bare file has it: lengths, key and data.
type line struct{ key, data []byte }

func journalCells() ([]duel.Cell, func(), error) {
	dir, err := os.MkdirTemp("", "bench-journal-")
	if err != nil {
		return nil, nil, err
	}
	j, err := journal.Open(context.Background(), journal.Config{Path: filepath.Join(dir, "journal")})
	if err != nil {
		return nil, nil, err
	}
	b, err := openBare(filepath.Join(dir, "bare"))
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = errors.Join(j.Close(ctx), b.close(ctx), os.RemoveAll(dir))
	}
	ours := appending(j)
	cell := func(name string, callers int, gate, target float64) duel.Cell {
		return duel.Cell{
			Name: name, Gate: gate, Target: target, Alone: callers == 1,
			Ours:   duel.Load{Callers: callers, Op: ours}.Run,
			Theirs: duel.Load{Callers: callers, Op: b.append}.Run,
		}
	}
	return []duel.Cell{cell("1 caller", 1, 0, 0), cell("16 callers", 16, 0, 0), cell("128 callers", 128, 0.6, 0.85), cell("512 callers", 512, 0, 0)}, stop, nil
}

// keyOf is different for each record: nobody waits for anybody.
func keyOf(caller, i int) string { return strconv.Itoa(caller) + "/" + strconv.Itoa(i) }

// appending appends records, and trims those before the last ones.
func appending(j *journal.Journal) func(caller, i int) error {
	var trimmed atomic.Int64
	return func(caller, i int) error {
		r, err := j.Append(context.Background(), "", keyOf(caller, i), make([]byte, recordSize), nil)
		if err != nil {
			return err
		}
		if last := trimmed.Load(); r.Offset > last+2*kept && trimmed.CompareAndSwap(last, r.Offset-kept) {
			j.Trim(0, r.Offset-kept)
		}
		return nil
	}
}

// bare is the least that can be done: a file that is appended to and synced, and the same
// gathering.
type bare struct {
	file   *os.File
	writer *fulcrum.Writer[line, struct{}]
	buffer []byte
	size   int64
}

// mostBare is when the file begins anew, as a journal that is trimmed does.
const mostBare = 256 << 20

func openBare(path string) (b *bare, err error) {
	b = &bare{}
	if b.file, err = os.Create(path); err != nil {
		return nil, err
	}
	b.writer, err = fulcrum.NewWriter(fulcrum.WriterConfig[line, struct{}]{
		Apply: b.commit, Policy: fulcrum.Policy{InFlight: 1, Reserved: -1, MaxBatch: 4096},
	})
	return b, err
}

func (b *bare) append(caller, i int) error {
	_, err := b.writer.Write(context.Background(), line{[]byte(keyOf(caller, i)), make([]byte, recordSize)})
	return err
}

func (b *bare) commit(_ context.Context, c *fulcrum.Commit[line, struct{}]) error {
	b.buffer = b.buffer[:0]
	for _, l := range c.Items() {
		for _, part := range [][]byte{l.key, l.data} {
			b.buffer = binary.AppendUvarint(b.buffer, uint64(len(part)))
			b.buffer = append(b.buffer, part...)
		}
	}
	if b.size > mostBare {
		if err := b.file.Truncate(0); err != nil {
			return err
		}
		b.size = 0
	}
	n, err := b.file.WriteAt(b.buffer, b.size)
	b.size += int64(n)
	if err != nil {
		return err
	}
	return syscall.Fdatasync(int(b.file.Fd()))
}

func (b *bare) close(ctx context.Context) error {
	return errors.Join(b.writer.Shutdown(ctx), b.file.Close())
}
