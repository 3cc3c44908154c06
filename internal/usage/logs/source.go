package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// A Source is a log that is open. Its figures may be read between calls only.
type Source struct {
	// Format is its format, Layers the compression that was taken off it.
	Format string
	Layers []string
	// Resolution is what its times are rounded to, as far as its beginning tells.
	Resolution time.Duration
	// First is the time of its first request; [usage.NoTime] if it has none.
	First int64

	// Lines are those read so far, without empty ones; of a trace of integers, its
	// keys. Skipped are the broken ones.
	Lines, Skipped uint64
	// Broken are the first few broken lines.
	Broken []BrokenLine

	in     *bufio.Reader
	parser parser
	number uint64
}

// BrokenLine is a line that does not have the log's format.
type BrokenLine struct {
	Number uint64
	Text   string // its beginning, quoted
}

const shownBroken = 5

// Open finds out how a log is compressed and what its format is. Its error says
// which formats it is not, or what is wrong with the options.
func Open(in io.Reader, o Options) (*Source, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Source{Format: o.Format, First: usage.NoTime}
	if o.FormatString != "" {
		s.Format = "template"
	}
	var err error
	if s.in, s.Layers, err = plain(in); err != nil {
		return nil, err
	}
	sample, whole, err := sampleOf(s.in)
	if err != nil && !errors.Is(err, io.EOF) && len(sample) == 0 {
		return nil, s.damaged(err)
	}
	if len(sample) == 0 {
		return nil, errors.New("it is empty")
	}
	if s.Format == "" || s.Format == "auto" {
		if s.Format, err = o.detect(sample, whole); err != nil {
			return nil, err
		}
	}
	s.parser = o.lines(s.Format)
	s.look(o, sample, whole)
	return s, nil
}

// look learns the first time and the resolution from a sample.
func (s *Source) look(o Options, sample []byte, whole bool) {
	s.Resolution = time.Second
	p := o.lines(s.Format)
	if p == nil {
		return
	}
	var r usage.Record
	times := 0
	finest := time.Second
	for _, line := range linesOf(sample, whole) {
		if p.parse(slices.Clone(line), &r) != parsed || r.Time == usage.NoTime {
			continue
		}
		if times++; times == 1 || r.Time < s.First {
			s.First = r.Time
		}
		for finest > 1 && r.Time%int64(finest) != 0 {
			finest /= 1000
		}
	}
	if s.Resolution = finest; finest <= time.Microsecond {
		s.Resolution = 0
	}
}

// damaged explains an error of decompression.
func (s *Source) damaged(err error) error {
	if len(s.Layers) > 0 {
		return fmt.Errorf("its %s is damaged or cut off: %w", strings.Join(s.Layers, " in "), err)
	}
	return err
}

const askEvery = 4096 // lines between two looks at the context

// Each gives every request to add; its record is valid until add returns. It ends
// with the log, the context, or an error of reading. tell, if not nil, is called now
// and then.
func (s *Source) Each(ctx context.Context, add func(*usage.Record), tell func()) error {
	var err error
	var n, bad uint64
	switch s.Format {
	case "trace:int32be":
		n, bad, err = eachInteger(s.in, 4, add)
	case "trace:int64be":
		n, bad, err = eachInteger(s.in, 8, add)
	case "trace:counts":
		n, bad, err = eachCount(s.in, add)
	case "trace:start-count":
		blocks := new(startCount)
		return s.eachLine(ctx, func(line []byte, r *usage.Record) outcome { return blocks.eachKey(line, r, add) }, tell)
	default:
		return s.eachLine(ctx, func(line []byte, r *usage.Record) outcome {
			o := s.parser.parse(line, r)
			if o == parsed {
				add(r)
			}
			return o
		}, tell)
	}
	s.Lines, s.Skipped = s.Lines+n, s.Skipped+bad
	if err != nil {
		err = s.damaged(err)
	}
	return err
}

func (s *Source) eachLine(ctx context.Context, take func([]byte, *usage.Record) outcome, tell func()) error {
	var r usage.Record
	quoted, _ := s.parser.(*csv) // within quotes, empty lines count
	for {
		line, err := s.in.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		if tooLong {
			line = bytes.Clone(line[:shownBytes+1])
			err = s.skipLine()
		}
		if end := trimmed(line); len(end) > 0 || quoted != nil && quoted.open && len(line) > 0 {
			s.Lines++
			s.number++
			if tooLong || take(end, &r) == broken {
				s.broken(end)
			}
		} else if len(line) > 0 {
			s.number++
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", s.number+1, s.damaged(err))
		}
		if s.number%askEvery == 0 {
			if tell != nil {
				tell()
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
}

// skipLine passes over the rest of a line that is too long to be one.
func (s *Source) skipLine() error {
	for {
		if _, err := s.in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func (s *Source) broken(line []byte) {
	s.Skipped++
	if len(s.Broken) < shownBroken {
		s.Broken = append(s.Broken, BrokenLine{s.number, shown(bytes.ToValidUTF8(line[:min(len(line), shownBytes+1)], []byte("?")))})
	}
}
