package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/internal/gateway"
	"github.com/fulcrum-data/fulcrum/store"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// demoCommand is fulcrum demo.
type demoCommand struct {
	For      time.Duration `help:"How long to run, such as 10s. Default: until Ctrl-C." placeholder:"DURATION"`
	DB       string        `help:"Keep the database in this file, or use one that demo made. Default: a temporary one." placeholder:"FILE" name:"db"`
	Profiles int           `help:"How many profiles a new database gets." default:"100000"`
	Listen   string        `help:"Address of the data listener." default:"127.0.0.1:8080"`
	Admin    string        `help:"Address of the admin listener." default:"127.0.0.1:8081"`
	Insecure bool          `help:"Allow listeners that other machines can reach. Everybody can read the made-up data."`
	Rate     int           `help:"Offered load in keys per second." default:"25000"`
	Seed     uint64        `help:"Of the data and the traffic: the same seed, the same profiles." default:"1"`
	JSON     bool          `help:"Print the summary as JSON and nothing else." name:"json"`
}

// usersResource is what the demo serves.
var usersResource = store.Resource{
	Name: "users", Table: "users", Key: []string{"id"}, Columns: append(slices.Clip(userColumns), "version"), Writable: true, Version: "version",
}

// drainTime is how long requests in flight may take at the end.
const drainTime = 10 * time.Second

// Validate refuses what cannot be run; kong calls it.
func (c *demoCommand) Validate() error {
	if c.For < 0 {
		return fmt.Errorf("--for: %s is negative", c.For)
	}
	if c.Rate < 1 || c.Rate > 1_000_000 {
		return fmt.Errorf("--rate: %d is not between 1 and 1000000", c.Rate)
	}
	if c.Profiles < 1 || c.Profiles > 10_000_000 {
		return fmt.Errorf("--profiles: %d is not between 1 and 10000000", c.Profiles)
	}
	return nil
}

// Run makes or opens the database, serves it, drives traffic, and sums up.
func (c *demoCommand) Run(t terminal) (err error) {
	talk := t.stdout
	if c.JSON {
		talk = io.Discard
	}
	path, remove, err := c.database(t.ctx, talk)
	if err != nil {
		return interrupted(t.ctx, err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	db, err := sqlite.Open(t.ctx, sqlite.Config{Path: path})
	if err != nil {
		return fmt.Errorf("demo: %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	g, err := c.gateway(t, db, path)
	if err != nil {
		return interrupted(t.ctx, err)
	}
	return c.serve(t, talk, g, path)
}

// interrupted makes nothing of an error that comes of Ctrl-C.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// database returns the file to serve and what removes it afterwards.
func (c *demoCommand) database(ctx context.Context, talk io.Writer) (path string, remove func() error, err error) {
	if c.DB != "" {
		return c.DB, func() error { return nil }, c.makeOrUse(ctx, talk)
	}
	dir, err := os.MkdirTemp("", "fulcrum-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("demo: no temporary folder: %w; name a file with --db", err)
	}
	remove = func() error { return os.RemoveAll(dir) }
	path = dir + "/profiles.db"
	if err := makeProfiles(ctx, talk, path, c.Profiles, c.Seed); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return path, remove, nil
}

// makeOrUse makes the file unless it is there.
func (c *demoCommand) makeOrUse(ctx context.Context, talk io.Writer) error {
	path := c.DB
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return makeProfiles(ctx, talk, path, c.Profiles, c.Seed)
	case err != nil:
		return fmt.Errorf("demo: %w", err)
	case info.IsDir():
		return fmt.Errorf("demo: %s is a folder: name a file in it", path)
	}
	fmt.Fprintf(talk, "using the profiles in %s\n", path)
	return nil
}

// gateway opens the users and listens.
func (c *demoCommand) gateway(t terminal, db store.DB, path string) (*gateway.Gateway, error) {
	if keeper, ok := db.(store.Keeper); ok { // for idempotency keys
		if err := keeper.Init(t.ctx); err != nil {
			return nil, fmt.Errorf("demo: %s: %w", path, err)
		}
	}
	g, err := gateway.New(t.ctx, gateway.Config{
		Listen: c.Listen, Admin: c.Admin, Insecure: c.Insecure,
		DB: db, Resources: []store.Resource{usersResource}, Experience: &beacon.Config{},
		Version: version(), Log: slog.New(slog.NewTextHandler(t.stderr, nil)),
	})
	var wrong *store.ConfigError
	if errors.As(err, &wrong) {
		return nil, fmt.Errorf("demo: %s was not made by demo: %w; name a file that does not exist yet, and demo makes it", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := g.Listen(); err != nil {
		return nil, fmt.Errorf("demo: %w (--listen and --admin choose addresses)", err)
	}
	return g, nil
}

// serve answers and drives traffic until the time is up, Ctrl-C, or a listener fails.
func (c *demoCommand) serve(t terminal, talk io.Writer, g *gateway.Gateway, path string) error {
	served := make(chan error, 1)
	go func() { served <- g.Serve() }()
	users, err := lastUser(t.ctx, path)
	if err != nil {
		return errors.Join(interrupted(t.ctx, err), shutdown(g), <-served)
	}
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	if c.For > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	r := newReport(talk, c.JSON)
	r.welcome(g, c)
	tr := &traffic{
		reader: g.Reader(usersResource.Name), url: "http://" + g.Addr() + "/v1/" + usersResource.Name,
		client: newClient(), users: users, rate: c.Rate, seed: c.Seed, forTime: c.For, started: time.Now(),
	}
	var failure error
	done := make(chan struct{})
	go func() {
		defer close(done)
		tr.run(ctx)
	}()
	failure = r.watch(tr, done, served)
	cancel()
	<-done
	tr.client.CloseIdleConnections()
	sum := tr.summary()
	if failure == nil {
		failure = errors.Join(shutdown(g), <-served)
	}
	return errors.Join(failure, r.finish(t.stdout, sum))
}

func shutdown(g *gateway.Gateway) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	return g.Shutdown(ctx)
}

// newClient is what the share of the traffic that goes through HTTP uses.
func newClient() *http.Client {
	return &http.Client{
		Timeout:   drainTime,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
	}
}
