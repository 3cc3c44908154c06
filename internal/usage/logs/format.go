package logs

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// outcome is what became of a line.
type outcome uint8

const (
	broken outcome = iota // it is not of the format
	passed                // it has no request, as it should be: a header, a comment
	parsed
)

// parser reads lines of one format.
type parser interface {
	parse(line []byte, r *usage.Record) outcome
}

// Formats are the names that [Options.Format] understands, besides auto.
var Formats = []string{
	"combined", "common", "ltsv", "json", "iis", "csv", "openstack", "envoy", "pg-csvlog", "pg-stat-statements",
	"trace:int32be", "trace:int64be", "trace:start-count", "trace:counts",
}

// Options say how to read a log.
type Options struct {
	// Format is one of Formats. Default auto: by what the log begins with.
	Format string
	// FormatString is a format of nginx, Envoy or Apache, instead of Format.
	FormatString string
	// Fields are NAME=FIELD for formats with names: NAME is what the log calls it, or
	// the number of a CSV column; FIELD is one of time, request, path, key, status,
	// client, agent, aborted, count, seconds, ms, us, ns.
	Fields []string
}

// Check says what is wrong with the options.
func (o Options) Check() error {
	if _, err := o.mapping(); err != nil {
		return err
	}
	if o.FormatString != "" {
		if o.Format != "" && o.Format != "auto" {
			return errors.New("give a format or a format string, not both")
		}
		_, err := newTemplate(o.FormatString)
		return err
	}
	if o.Format != "" && o.Format != "auto" && !slices.Contains(Formats, o.Format) {
		return fmt.Errorf("%q is no known format: want auto, %s", o.Format, strings.Join(Formats, ", "))
	}
	return nil
}

func (o Options) mapping() (mapping, error) {
	m := mapping{}
	for _, s := range o.Fields {
		i := strings.LastIndexByte(s, '=')
		f, ok := settable[s[i+1:]]
		if i <= 0 || !ok {
			return nil, fmt.Errorf("%q: want NAME=FIELD, where FIELD is one of time, request, path, key, status, client, agent, aborted, count, seconds, ms, us, ns", s)
		}
		m[s[:i]] = f
	}
	return m, nil
}

// lines makes the parser of a format that consists of lines.
func (o Options) lines(format string) parser {
	names, _ := o.mapping() // checked before
	switch format {
	case "template":
		t, err := newTemplate(o.FormatString)
		if err != nil {
			panic(err) // checked before
		}
		return t
	case "combined", "common":
		return new(combined)
	case "openstack":
		return new(openstack)
	case "ltsv":
		return &ltsv{names: names}
	case "json":
		return &jsonLines{ltsv: ltsv{names: names}}
	case "iis":
		return &w3c{names: names}
	case "csv", "pg-stat-statements":
		return &csv{names: names}
	case "pg-csvlog":
		return &csv{names: names, begun: true, postgres: new(pgLog)}
	case "envoy":
		t, err := newTemplate(envoyDefault)
		if err != nil {
			panic(err) // it is a constant
		}
		return t
	}
	return nil
}

// detected is what the beginning of a log says.
type detected struct {
	format string
	score  float64 // share of lines that have the format
}

// candidates are tried in this order; of equals, the first is taken.
var candidates = []string{"combined", "iis", "json", "ltsv", "envoy", "openstack", "pg-csvlog", "trace:start-count", "csv"}

const (
	sampleLines = 500
	leastScore  = .1 // logs may be full of other things
)

// detect finds the format of a log that begins so.
func (o Options) detect(sample []byte, whole bool) (string, error) {
	switch {
	case len(sample) == 0:
		return "", errors.New("it is empty")
	case isCounts(sample):
		return "trace:counts", nil
	case isBinary(sample):
		if size := integers(sample); size > 0 {
			return fmt.Sprintf("trace:int%dbe", 8*size), nil
		}
		return "", errors.New("it is binary, and no format that is known: if it is a trace of keys, say --format trace:int32be or trace:int64be")
	}
	lines := linesOf(sample, whole)
	best := detected{}
	for _, format := range candidates {
		if d := o.try(format, lines); d.score > best.score {
			best = d
		}
	}
	if best.score < leastScore {
		return "", fmt.Errorf("its lines have no format that is known; the first is %s. Name one with --format, describe it with --format-string, or name its fields with --field", shown(lines[0]))
	}
	if best.format == "combined" && !strings.HasSuffix(strings.TrimSpace(string(lines[0])), `"`) && strings.Count(string(lines[0]), `"`) == 2 {
		return "common", nil
	}
	return best.format, nil
}

func (o Options) try(format string, lines [][]byte) detected {
	d := detected{format: format}
	p := o.lines(format)
	var r usage.Record
	all, good := 0, 0
	for _, line := range lines {
		line = slices.Clone(line)
		if format == "trace:start-count" {
			all++
			if isStartCount(line) {
				good++
			}
			continue
		}
		switch p.parse(line, &r) {
		case parsed:
			good++
			all++
		case broken:
			all++
		case passed:
			if c, ok := p.(*csv); ok && format == "pg-csvlog" && !c.open {
				good++ // it has the columns; that is rare enough
				all++
			}
		}
	}
	if all > 0 {
		d.score = float64(good) / float64(all)
	}
	if c, ok := p.(*csv); ok && format == "csv" && good > 0 {
		d.format = c.kind()
	}
	return d
}

// kind is csv, or what its header says.
func (c *csv) kind() string {
	if slices.Contains(c.columns, timesField) && !slices.Contains(c.columns, timeField) {
		return "pg-stat-statements"
	}
	return "csv"
}

func isStartCount(line []byte) bool {
	fields := strings.Fields(string(line))
	if len(fields) < 2 || len(fields) > 4 {
		return false
	}
	for _, f := range fields {
		if _, ok := integer([]byte(f)); !ok {
			return false
		}
	}
	return true
}

// linesOf are a sample's lines, without one that is cut off.
func linesOf(sample []byte, whole bool) [][]byte {
	var all [][]byte
	for len(sample) > 0 && len(all) < sampleLines {
		i := slices.Index(sample, '\n')
		if i < 0 {
			if whole || len(all) == 0 {
				all = append(all, sample)
			}
			break
		}
		if line := trimmed(sample[:i]); len(line) > 0 {
			all = append(all, line)
		}
		sample = sample[i+1:]
	}
	if len(all) == 0 {
		all = append(all, nil)
	}
	return all
}

func trimmed(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\r' || line[len(line)-1] == '\n') {
		line = line[:len(line)-1]
	}
	return line
}

// isBinary says whether a sample is no text.
func isBinary(sample []byte) bool {
	odd := 0
	for _, c := range sample {
		if c == 0 {
			return true
		}
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != 0x1b {
			odd++
		}
	}
	return odd*20 > len(sample)
}

// integers is the size of the big-endian integers that a sample consists of; 0 if it
// does not: keys are small numbers of which there are several.
func integers(sample []byte) int {
	for _, size := range []int{8, 4} {
		n, small := len(sample)/size, 0
		different := map[string]bool{}
		for i := range n {
			k := sample[i*size : (i+1)*size]
			if k[0] == 0 && (size == 4 || k[1]|k[2]|k[3] == 0) {
				small++
			}
			if len(different) < 16 {
				different[string(k)] = true
			}
		}
		if n >= 16 && small*100 >= n*99 && len(different) >= 16 {
			return size
		}
	}
	return 0
}

// isCounts says whether a sample is a long row of small numbers.
func isCounts(sample []byte) bool {
	digits := 0
	for _, c := range sample {
		switch {
		case c == '\n':
			return false
		case c-'0' <= 9:
			if digits++; digits > 9 {
				return false
			}
		case c == ' ':
			digits = 0
		default:
			return false
		}
	}
	return len(sample) >= 64
}

// sampleOf looks at what comes first, without taking it.
func sampleOf(in *bufio.Reader) (sample []byte, whole bool, err error) {
	const size = 64 << 10
	sample, err = in.Peek(size)
	return sample, len(sample) < size, err
}

const shownBytes = 80

// shown is a line for people.
func shown(line []byte) string {
	if len(line) > shownBytes {
		return fmt.Sprintf("%q…", line[:shownBytes])
	}
	return fmt.Sprintf("%q", line)
}
