package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/journal"
	"github.com/fulcrum-data/fulcrum/store"
)

type writer = fulcrum.Writer[store.Change, store.Written]

// commits is what makes changes, of all resources that can be written.
type commits struct {
	backend *fulcrum.Backend // their slots; nil if nothing can be written
	writers map[string]*writer
	hub     hub

	journals []*journal.Journal
}

// open makes a Writer for each resource that can be written, and its journal.
func (c *commits) open(ctx context.Context, cfg Config, tables map[string]store.Table, kept caches, onEvent func(fulcrum.Event)) error {
	c.writers = make(map[string]*writer)
	c.hub.init()
	for _, r := range cfg.Resources {
		table, ok := tables[r.Name].(store.Writable)
		if !r.Writable || !ok {
			continue
		}
		if err := c.makeBackend(cfg, onEvent); err != nil {
			return err
		}
		journaling, err := c.openJournal(ctx, cfg, r.Name)
		if err != nil {
			return err
		}
		w, err := fulcrum.NewWriter(fulcrum.WriterConfig[store.Change, store.Written]{
			Journaling: journaling, Invalidate: kept.forget(cfg.Resources, r, table),
			Name: r.Name, Apply: c.hub.around(r.Name, table.Apply), Resolve: c.hub.resolved(table.Resolve), Backend: c.backend, Timeout: cfg.Timeout,
			OrderBy: func(c store.Change) string { return string(c.Key) },
			Size:    func(c store.Change) int { return len(c.Key) + len(c.Body) },
			Lost: func(change store.Change, err error) {
				cfg.Log.Error("a change that was acknowledged from memory is lost", "resource", r.Name, "key", change.Key, "operation", change.Op.String(), "error", err)
			},
		})
		if err != nil {
			return err
		}
		c.writers[r.Name] = w
	}
	c.tellOrphans(cfg)
	return nil
}

// journalSuffix is what the files of journals end with.
const journalSuffix = ".journal"

// tellOrphans warns of journals that nobody applies: what was acknowledged there waits.
func (c *commits) tellOrphans(cfg Config) {
	if cfg.Journal == "" || cfg.Aside {
		return
	}
	found, _ := filepath.Glob(filepath.Join(cfg.Journal, "*"+journalSuffix)) // the pattern is right
	for _, file := range found {
		resource := strings.TrimSuffix(filepath.Base(file), journalSuffix)
		if c.writers[resource] == nil {
			cfg.Log.Warn("a journal is not applied: its resource cannot be written any more; say writable: true again, or remove the file if it may be lost",
				"file", file, "resource", resource)
		}
	}
}

// openJournal opens a resource's journal; nil if there are none.
func (c *commits) openJournal(ctx context.Context, cfg Config, resource string) (*fulcrum.Journaling[store.Change], error) {
	if cfg.Journal == "" {
		return nil, nil
	}
	keeper, ok := cfg.DB.(store.Keeper)
	if !ok {
		return nil, &FieldError{"Journal", "this database keeps no positions of journals: leave it out"}
	}
	if cfg.Aside { // whoever serves has the journals; that positions can be kept is seen without
		_, err := keeper.Applied(ctx, "")
		return nil, err
	}
	if err := os.MkdirAll(cfg.Journal, 0o700); err != nil {
		return nil, &FieldError{"Journal", err.Error()}
	}
	j, err := journal.Open(ctx, journal.Config{Path: filepath.Join(cfg.Journal, resource+journalSuffix)})
	if err != nil {
		return nil, &FieldError{"Journal", err.Error()}
	}
	c.journals = append(c.journals, j)
	return &fulcrum.Journaling[store.Change]{Journal: j, Applied: keeper.Applied, Encode: store.EncodeChange, Decode: store.DecodeChange}, nil
}

func (c *commits) makeBackend(cfg Config, onEvent func(fulcrum.Event)) (err error) {
	if c.backend != nil {
		return nil
	}
	b := cfg.Commits
	b.Name, b.OnEvent = "commits", onEvent
	c.backend, err = fulcrum.NewBackend(b)
	return err
}

// shutdown makes what was accepted.
func (c *commits) shutdown(ctx context.Context) error {
	var all error
	for _, w := range c.writers {
		all = errors.Join(all, w.Shutdown(ctx))
	}
	for _, j := range c.journals {
		all = errors.Join(all, j.Close(ctx))
	}
	return all
}

// sharesOfCommits: commits get a quarter of the connections that they share with reads,
// but not more than is of use to one disk.
const (
	sharesOfCommits = 4
	mostCommits     = 8
)

// fitCommits is what the Backend of the commits gets, and how many connections that
// takes from the reads.
func (c Config) fitCommits() (b fulcrum.BackendConfig, conns int) {
	b = c.Commits
	if !c.writes() {
		return b, 0
	}
	if own, ok := c.DB.(store.Committer); ok {
		b.MaxInFlight, b.Reserved = max(1, own.Commits()), -1
		if b.MaxInFlight > 1 {
			b.MaxInFlight, b.Reserved = b.MaxInFlight-1, 1
		}
		return b, 0
	}
	share := min(mostCommits, c.DB.Conns()/sharesOfCommits)
	if b.MaxInFlight == 0 {
		b.MaxInFlight = max(1, share-1)
	}
	if b.MinInFlight == 0 && b.MaxInFlight > 1 {
		b.MinInFlight = 2 // while one waits for the disk, the next one is computed
	}
	if b.Reserved == 0 {
		b.Reserved = -1
		if share > 1 {
			b.Reserved = 1
		}
	}
	conns = b.MaxInFlight + max(0, b.Reserved)
	if c.Journal != "" { // each applies what it holds beside the others
		for _, r := range c.Resources {
			if r.Writable {
				conns++
			}
		}
	}
	return b, conns
}

// writes says whether anything can be written.
func (c Config) writes() bool {
	for _, r := range c.Resources {
		if r.Writable {
			return true
		}
	}
	return false
}

// versionOf finds the version in a row, as an ETag has it; nil if there is no column.
func versionOf(r store.Resource) func(row []byte) string {
	if r.Version == "" {
		return nil
	}
	return func(row []byte) string {
		var fields map[string]json.RawMessage
		if json.Unmarshal(row, &fields) != nil {
			return ""
		}
		raw := fields[r.Version]
		var text string
		if json.Unmarshal(raw, &text) == nil {
			return text
		}
		return string(raw)
	}
}
