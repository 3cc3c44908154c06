package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/fulcrum-data/fulcrum/store"
)

// deadLetterCommand is fulcrum deadletter.
type deadLetterCommand struct {
	List    deadLetterList    `cmd:"" help:"Show changes that were accepted and could not be made, the oldest first."`
	Replay  deadLetterReplay  `cmd:"" help:"Make changes after all, and take them off the list."`
	Discard deadLetterDiscard `cmd:"" help:"Take changes off the list for good."`
}

type deadLetterList struct {
	Config string `help:"The configuration that names the database." short:"c" required:"" placeholder:"FILE"`
	After  int64  `help:"Only those with a higher ID." placeholder:"ID"`
	Limit  int    `help:"At most so many." default:"100"`
	JSON   bool   `help:"Print JSON, one line each." name:"json"`
}

// shownLetter is a line of JSON.
type shownLetter struct {
	ID       int64           `json:"id"`
	Time     time.Time       `json:"time"`
	Resource string          `json:"resource"`
	Op       string          `json:"op"`
	Key      store.Key       `json:"key"`
	Body     json.RawMessage `json:"body,omitempty"`
	Error    string          `json:"error"`
}

// Validate looks at the flags that kong cannot.
func (c *deadLetterList) Validate() error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d: want 1 or more", c.Limit)
	}
	return nil
}

// Run lists.
func (c *deadLetterList) Run(t terminal) error {
	opened, _, err := configure(t.ctx, c.Config, io.Discard, true)
	if err != nil {
		return err
	}
	defer opened.Close()
	found, err := opened.gateway.DeadLetters(t.ctx, c.After, c.Limit)
	if err != nil {
		return fmt.Errorf("deadletter: %w", err)
	}
	if c.JSON {
		out := json.NewEncoder(t.stdout)
		for _, d := range found {
			if err := out.Encode(shownLetter{d.ID, d.At.UTC(), d.Resource, d.Change.Op.String(), d.Change.Key, d.Change.Body, d.Error}); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	for _, d := range found {
		fmt.Fprintf(table, "%d\t%s\t%s %s/%s\t%s\n", d.ID, d.At.UTC().Format(time.RFC3339), d.Change.Op, d.Resource, d.Change.Key, d.Error)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.stdout, count(len(found), "dead letter"))
	return err
}

type deadLetterReplay struct {
	Config string  `help:"The configuration that names the database." short:"c" required:"" placeholder:"FILE"`
	IDs    []int64 `arg:"" name:"id" help:"As deadletter list shows them."`
}

// Run replays one after the other, and goes on after one that fails.
func (c *deadLetterReplay) Run(t terminal) error {
	opened, _, err := configure(t.ctx, c.Config, io.Discard, true)
	if err != nil {
		return err
	}
	defer opened.Close()
	failed := 0
	for _, id := range c.IDs {
		if err := opened.gateway.Replay(t.ctx, id); err != nil {
			failed++
			fmt.Fprintf(t.stderr, "fulcrum: dead letter %d: %v\n", id, err)
		}
	}
	fmt.Fprintf(t.stdout, "%d made, %d failed\n", len(c.IDs)-failed, failed)
	if failed > 0 {
		return errReported
	}
	return nil
}

type deadLetterDiscard struct {
	Config string  `help:"The configuration that names the database." short:"c" required:"" placeholder:"FILE"`
	IDs    []int64 `arg:"" name:"id" help:"As deadletter list shows them."`
}

// Run discards.
func (c *deadLetterDiscard) Run(t terminal) error {
	opened, _, err := configure(t.ctx, c.Config, io.Discard, true)
	if err != nil {
		return err
	}
	defer opened.Close()
	n, err := opened.gateway.Discard(t.ctx, c.IDs...)
	if err != nil {
		return fmt.Errorf("deadletter: %w", err)
	}
	_, err = fmt.Fprintf(t.stdout, "%s discarded\n", count(n, "dead letter"))
	return err
}
