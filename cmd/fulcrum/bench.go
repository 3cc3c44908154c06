package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/internal/load/target"
	"github.com/fulcrum-data/fulcrum/store"
)

// benchCommand is fulcrum bench.
type benchCommand struct {
	benchTarget `embed:""`
	benchLoad   `embed:""`
	benchOutput `embed:""`

	plan benchPlan
}

// benchTarget says what is measured.
type benchTarget struct {
	URL    string   `help:"Measure an HTTP service. {key} in it stands for a request's key." placeholder:"URL" name:"url"`
	Header []string `help:"Send a header with each request. May be given several times." placeholder:"NAME: VALUE" sep:"none"`

	Store    string   `help:"Measure reads of single rows from a database: sqlite:FILE or postgres://…" placeholder:"DSN"`
	Strategy string   `help:"How rows are read: dial, direct, single, window, bulk or fulcrum. Default: fulcrum." placeholder:"S"`
	Compare  []string `help:"Compare strategies at equal loads, interleaved." placeholder:"S,S"`
	Table    string   `help:"Table or view to read. Default: the only one with a primary key, or users." placeholder:"NAME"`
	Key      []string `help:"Its key's columns. Default: the primary key." placeholder:"COLUMN,…" name:"key-column"`
	Columns  []string `help:"The columns that are read. Default: all." placeholder:"COLUMN,…"`

	WindowKeys int           `help:"Keys that fill a window of the strategy window." default:"50"`
	WindowWait time.Duration `help:"How long it waits for them." default:"10ms"`
	Cache      int           `help:"Entries of a cache before the strategy fulcrum, kept for 60s. Default: no cache." placeholder:"N"`

	Connections int `help:"Most connections to the service, or to the database, whose pool the strategies share." default:"64"`
}

// benchLoad says how it is loaded.
type benchLoad struct {
	Rate     []float64      `help:"Offer these loads, in keys per second." placeholder:"R,…"`
	Callers  []int          `help:"Instead: so many callers, each of which sends when it has its answer." placeholder:"N,…"`
	Curve    bool           `help:"Instead: find the largest load that keeps --slo, the power point, the knee, and a scalability fit."`
	Lowest   float64        `help:"Where --curve begins, in keys per second." default:"100"`
	Highest  float64        `help:"Where --curve ends." default:"1000000"`
	Arrivals string         `help:"When requests are due: poisson, constant, bursts:N or trace:FILE[@SPEED]." default:"poisson"`
	Duration time.Duration  `help:"How long each step is." default:"10s"`
	Warmup   *time.Duration `help:"How long the same load is offered before, unrecorded. Default: a fifth of each round, at most 1s." placeholder:"D"`
	Drain    time.Duration  `help:"How long is waited for the last answers of each step." default:"2s"`
	Rounds   int            `help:"Into how many rounds --compare divides each step. Default: of 1s at least, at most 5." placeholder:"N"`
	Keys     string         `help:"Which keys: uniform:N, zipf:S:N, hot:SHARE:H:N or trace:FILE. Default: those of the table, all alike." placeholder:"K"`
	Mix      string         `help:"Of which class requests are, and how many write, such as urgent=5,normal=85,write=10. Writes go to a table of the bench's own. Default: normal." placeholder:"M"`
	SLO      string         `help:"What to keep, such as p99=20ms, which is what --curve takes by default." placeholder:"PQ=D" name:"slo"`
	Seed     uint64         `help:"Of arrivals, keys and classes: the same seed, the same load." default:"1"`
}

// benchOutput says where the results go.
type benchOutput struct {
	JSON bool   `help:"Print the results as JSON and nothing else." name:"json"`
	Plot string `help:"Plot the curves to this file, .svg or .png." placeholder:"FILE"`
	HTML string `help:"Write a report that one file holds." placeholder:"FILE" name:"html"`
	HDR  string `help:"Write the response times as a log of HdrHistogram." placeholder:"FILE" name:"hdr"`
}

// Validate refuses what cannot be measured; kong calls it.
func (c *benchCommand) Validate() (err error) {
	c.plan, err = c.makePlan()
	return err
}

// Run measures, prints a table or JSON, and writes what files were asked for.
func (c *benchCommand) Run(t terminal) error {
	collectLess()
	b, err := c.open(t.ctx)
	if err != nil {
		return err
	}
	defer b.close()
	b.progress = newProgress(t.stderr)
	out := t.stdout
	if c.JSON {
		out = io.Discard
	}
	b.table = newBenchTable(out, b)
	b.table.head()
	err = b.measure(t.ctx)
	b.progress.end()
	b.table.finish()
	if c.JSON {
		err = errors.Join(err, b.printJSON(t.stdout))
	}
	return c.conclude(t, b, errors.Join(err, c.writeFiles(b)))
}

// conclude says what spoils the results, if anything does.
func (c *benchCommand) conclude(t terminal, b *bench, err error) error {
	switch {
	case err != nil:
		return err
	case t.ctx.Err() != nil:
		return errors.New("bench: interrupted")
	case !b.anyValid():
		return errors.New("bench: no step is valid, so there are no figures")
	}
	return nil
}

// open reaches for what is measured, and asks it for one row.
func (c *benchCommand) open(ctx context.Context) (*bench, error) {
	b := &bench{benchPlan: c.plan, cmd: c, run: load.Run}
	if c.URL != "" {
		return b, b.openURL(ctx)
	}
	if err := b.openStore(ctx); err != nil {
		b.close()
		return nil, explained(err)
	}
	return b, nil
}

// explained names the flag instead of the field that does not fit a table.
func explained(err error) error {
	var wrong *store.ConfigError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("bench: --store: %w", err)
	}
	flag := map[string]string{"table": "--table", "key": "--key-column", "columns": "--columns"}[wrong.Field]
	return fmt.Errorf("bench: %s: %s", flag, wrong.Problem)
}

func (b *bench) openURL(ctx context.Context) error {
	h := b.http
	b.closers = append(b.closers, h.Close)
	if err := h.Probe(ctx, b.keys); err != nil {
		b.close()
		return fmt.Errorf("bench: --url: %w", err)
	}
	b.contenders = []*contender{{name: urlStrategy, chunk: 1, target: h}}
	return nil
}

// urlStrategy is how a service reads, as far as one can know.
const urlStrategy = "url"

func (b *bench) openStore(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("no answer within %s: %w", connectTime, store.ErrUnavailable))
	context.AfterFunc(ctx, cancel) // not sooner: a pool fills itself under this context
	s, err := target.OpenStore(limited, b.cmd.storeConfig())
	if err != nil {
		return cause(limited, err)
	}
	b.closers = append(b.closers, s.Close)
	if b.cmd.Keys == "" {
		if b.keys, err = s.Keys(limited); err != nil {
			return cause(limited, err)
		}
	}
	if err := s.Probe(ctx, b.keys); err != nil {
		return fmt.Errorf("the first key of --keys %s: %w", b.keys, err)
	}
	b.reads = s.Table()
	if b.mix.Writes() {
		if err := s.OpenWrites(limited); err != nil {
			return cause(limited, err)
		}
	}
	for _, name := range b.strategies {
		t, chunk, err := s.Strategy(name)
		if err != nil {
			return err
		}
		b.contenders = append(b.contenders, &contender{name: name, chunk: chunk, target: t, usage: s.Usage})
	}
	return nil
}
