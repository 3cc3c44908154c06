package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/fulcrum-data/fulcrum/internal/config"
)

// checkCommand is fulcrum check.
type checkCommand struct {
	Config string `help:"The configuration to check." short:"c" required:"" placeholder:"FILE"`
	JSON   bool   `help:"Print the result as JSON." name:"json"`
}

// checkJSON is the result of a check.
type checkJSON struct {
	OK        bool            `json:"ok"`
	Problems  config.Problems `json:"problems"`
	Store     string          `json:"store,omitempty"`
	Pool      *poolJSON       `json:"pool,omitempty"`
	Resources []resourceJSON  `json:"resources"`
}

type poolJSON struct {
	Used int `json:"used"` // the most connections that all resources together use
	Max  int `json:"max"`
}

type resourceJSON struct {
	Name     string   `json:"name"`
	Path     string   `json:"path"`
	Key      []string `json:"key"`
	Mode     string   `json:"mode"`
	InFlight int      `json:"in_flight"`
	Reserved int      `json:"reserved"`
	MaxBatch int      `json:"max_batch"`
}

// Run reads the configuration, compares it with the database and tells what each
// resource gets. Nothing is listened on.
func (c *checkCommand) Run(t terminal) error {
	result, err := c.check(t)
	if err != nil {
		return err
	}
	print := result.print
	if c.JSON {
		print = result.printJSON
	}
	if err := print(t, c.Config); err != nil {
		return err
	}
	if !result.OK {
		return errReported
	}
	return nil
}

func (c *checkCommand) check(t terminal) (*checkJSON, error) {
	opened, _, err := configure(t.ctx, c.Config, io.Discard)
	result := &checkJSON{Problems: config.Problems{}, Resources: []resourceJSON{}}
	if errors.As(err, &result.Problems) {
		return result, nil
	}
	if err != nil {
		return nil, err
	}
	result.OK, result.Store, result.Pool = true, opened.Store.String(), &poolJSON{Max: opened.db.Conns()}
	for _, r := range opened.gateway.Describe() {
		p := r.Policy
		result.Pool.Used += p.InFlight + max(0, p.Reserved)
		result.Resources = append(result.Resources, resourceJSON{
			Name: r.Name, Path: r.Path, Key: r.Key,
			Mode: p.Mode.String(), InFlight: p.InFlight, Reserved: max(0, p.Reserved), MaxBatch: p.MaxBatch,
		})
	}
	return result, opened.db.Close()
}

func (r *checkJSON) printJSON(t terminal, _ string) error {
	out := json.NewEncoder(t.stdout)
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

func (r *checkJSON) print(t terminal, file string) error {
	if !r.OK {
		_, err := fmt.Fprintf(t.stderr, "%s\n%s\n", r.Problems.Error(), count(len(r.Problems), "problem"))
		return err
	}
	fmt.Fprintf(t.stdout, "%s on %s\n", file, r.Store)
	table := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	for _, res := range r.Resources {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s, %d in flight, %d reserved, batches up to %s\n",
			res.Name, res.Path, strings.Join(res.Key, ", "), res.Mode, res.InFlight, res.Reserved, thousands(res.MaxBatch))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(t.stdout, "up to %d of %s\nOK\n", r.Pool.Used, count(r.Pool.Max, "connection"))
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
