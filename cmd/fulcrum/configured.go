package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/cache/shared"
	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/internal/config"
	"github.com/fulcrum-data/fulcrum/internal/gateway"
	"github.com/fulcrum-data/fulcrum/internal/region"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/postgres"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// connectTime is how long the database may take to answer at the start.
const connectTime = 15 * time.Second

// openStore opens the database that a configuration names.
func openStore(ctx context.Context, c *config.Config) (store.DB, error) {
	if c.Store.Kind == config.SQLite {
		return checked(sqlite.Open(ctx, sqlite.Config{Path: c.Store.Path, Conns: c.Pool.Max, BusyTimeout: c.Pool.Timeout}))
	}
	return checked(postgres.Open(ctx, postgres.Config{
		DSN: c.Store.DSN.Reveal(), MinConns: c.Pool.Min, MaxConns: c.Pool.Max, Timeout: c.Pool.Timeout,
		ScopeSetting: c.Scope.Setting, Replicas: replicasOf(c), Tokens: len(c.Reads.Replicas) > 0,
	}))
}

// replicasOf are the replicas as the store wants them.
func replicasOf(c *config.Config) []postgres.Replica {
	all := make([]postgres.Replica, len(c.Reads.Replicas))
	for i, r := range c.Reads.Replicas {
		all[i] = postgres.Replica{Name: r.Name, DSN: r.DSN.Reveal(), Region: r.Region}
	}
	return all
}

// checked keeps a nil pointer out of the interface.
func checked[DB store.DB](db DB, err error) (store.DB, error) {
	if err != nil {
		return nil, err
	}
	return db, nil
}

// served is a gateway's configuration as a file has it.
func served(c *config.Config, db, visits store.DB, log *slog.Logger) (gateway.Config, error) {
	var geo *region.Geo
	if c.GeoIP != "" {
		var err error
		if geo, err = region.OpenGeo(c.GeoIP); err != nil {
			return gateway.Config{}, c.Problem("geoip", oneLine(err))
		}
	}
	tokens := make([]gateway.Token, len(c.Tokens))
	for i, t := range c.Tokens {
		tokens[i] = gateway.Token(t)
	}
	var people *beacon.Config
	if c.People != nil {
		people = &beacon.Config{Origins: c.People.Origins}
	}
	backend := c.Backend
	backend.Choice = c.Reads.Choice
	return gateway.Config{
		Listen: c.Listen, Admin: c.Admin, Insecure: c.Insecure, Tokens: tokens,
		DB: db, Resources: c.Resources, Caches: c.Caches, Shared: sharedOf(c), Policy: c.Policy, Backend: backend, Cookie: c.Reads.Cookie, Regions: c.Regions, Proxies: c.Proxies, Geo: geo, Usage: c.Usage, Journal: c.Journal,
		Experience: people, Visits: visits,
		Timeout: c.Limits.Timeout, MaxKeys: c.Limits.Keys, MaxBody: c.Limits.Body, MaxHeader: c.Limits.Header,
		Version: version(), Log: log,
	}, nil
}

// sharedOf is the Redis that gateways share; nil if there is none.
func sharedOf(c *config.Config) *gateway.Shared {
	if c.Shared.URL == "" {
		return nil
	}
	database := c.Store.String()
	if c.Store.Kind == config.SQLite { // a file is one machine's
		host, _ := os.Hostname()
		path, _ := filepath.Abs(c.Store.Path)
		database = "sqlite://" + host + path
	}
	return &gateway.Shared{
		Link:     shared.LinkConfig{URL: c.Shared.URL.Reveal(), Namespace: c.Shared.Namespace, Timeout: c.Shared.Timeout},
		Database: database,
	}
}

// fieldPaths say where the file has what a gateway's configuration calls otherwise.
var fieldPaths = map[string]string{
	"Listen": "listen", "Admin": "admin", "Tokens": "tokens", "Policy": "policy", "Backend": "tuner", "Cookie": "reads.cookie", "Regions": "regions", "Usage": "usage", "Journal": "journal", "Resources": "resources", "Caches": "cache", "Shared": "cache.redis", "Experience": "experience", "Visits": "experience.keep",
	"Timeout": "limits.timeout", "MaxKeys": "limits.keys", "MaxBody": "limits.body", "MaxHeader": "limits.header",
}

// problemsOf makes problems of all that is wrong with a configuration, with their
// places in the file where they have one.
func problemsOf(c *config.Config, file string, err error) config.Problems {
	var found config.Problems
	if errors.As(err, &found) {
		return found
	}
	if c == nil {
		c = &config.Config{File: file}
	}
	for _, e := range c.Place(err) {
		var p *config.Problem
		var wrong *gateway.FieldError
		switch {
		case errors.As(e, &p):
		case errors.As(e, &wrong):
			p = c.Problem(fieldPaths[wrong.Field], wrong.Problem)
		case errors.Is(e, store.ErrUnavailable):
			p = c.Problem("store", oneLine(e))
		default:
			p = c.Problem("", oneLine(e))
		}
		found = append(found, p)
	}
	return found
}

// oneLine is an error's text without the lines that drivers break theirs into.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// configured is a configuration that was found to be right, with what it opened.
type configured struct {
	*config.Config
	db      store.DB
	visits  store.DB // where what people told is kept; nil: nowhere, or db
	gateway *gateway.Gateway
}

// Close closes what is open.
func (c configured) Close() error {
	if c.visits == nil || c.visits == c.db {
		return c.db.Close()
	}
	return errors.Join(c.visits.Close(), c.db.Close())
}

// openVisits opens where what people told is kept. A file of its own gets its tables.
func (c *configured) openVisits(ctx context.Context) (err error) {
	switch {
	case c.People == nil || c.People.Keep == "":
		return nil
	case c.People.Keep == config.KeepInStore:
		c.visits = c.db
		return nil
	}
	c.visits, err = openVisits(ctx, c.People.Keep)
	if err != nil {
		return &gateway.FieldError{Field: "Visits", Problem: err.Error()}
	}
	return nil
}

// openVisits opens a file, or makes it.
func openVisits(ctx context.Context, path string) (store.DB, error) {
	made, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // an empty file is an empty database
	if err != nil {
		return nil, err
	}
	if err := made.Close(); err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path, Conns: 1, Synchronous: sqlite.SyncNormal})
	if err != nil {
		return nil, err
	}
	if err := db.Init(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// configure reads a configuration and opens all that it names. Its error is
// config.Problems. The configuration is there as soon as the file could be read. Who does
// not serve works aside: journals are for one process.
func configure(ctx context.Context, file string, logTo io.Writer, aside bool) (c configured, log *slog.Logger, err error) {
	log = slog.New(slog.NewTextHandler(logTo, nil))
	if c.Config, err = config.Load(file); err != nil {
		return c, log, problemsOf(nil, file, err)
	}
	log = newLog(logTo, c.Log)
	limited, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("no answer within %s: %w", connectTime, store.ErrUnavailable))
	context.AfterFunc(ctx, cancel) // not sooner: a pool fills itself under this context
	if c.db, err = openStore(limited, c.Config); err != nil {
		return c, log, problemsOf(c.Config, file, cause(limited, err))
	}
	if err = c.openVisits(limited); err == nil {
		var cfg gateway.Config
		if cfg, err = served(c.Config, c.db, c.visits, log); err == nil {
			cfg.Aside = aside
			c.gateway, err = gateway.New(limited, cfg)
		}
	}
	if err != nil {
		return c, log, errors.Join(problemsOf(c.Config, file, cause(limited, err)), c.Close())
	}
	return c, log, nil
}

// cause says why a context ended, if that is why there is an error.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// newLog is a logger as a configuration wants it.
func newLog(to io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // one of four that it knows
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}
