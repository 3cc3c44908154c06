package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/config"
	"github.com/fulcrum-data/fulcrum/store/postgres"
)

// lookEvery is how often the configuration's files are looked at.
const lookEvery = time.Second

// stamp is by what a file that has changed is known.
type stamp struct {
	size     int64
	modified time.Time
	mode     fs.FileMode
}

func stampOf(file string) (s stamp) {
	if info, err := os.Stat(file); err == nil { // follows links: mounted configurations are replaced by them
		s = stamp{info.Size(), info.ModTime(), info.Mode()}
	}
	return s
}

// reloader has the gateway follow its configuration: whenever a file of it has changed
// and stayed so for a moment, and at once on SIGHUP.
type reloader struct {
	configured
	file string
	log  *slog.Logger
	seen [2]stamp // of the file and of its database of addresses
}

func newReloader(c configured, file string, log *slog.Logger) *reloader {
	r := &reloader{configured: c, file: file, log: log}
	r.seen = r.stamps()
	return r
}

func (r *reloader) stamps() [2]stamp { return [2]stamp{stampOf(r.file), stampOf(r.GeoIP)} }

// run follows until ctx ends.
func (r *reloader) run(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	pending := r.seen
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			r.seen = r.stamps()
			pending = r.seen
			r.reload("SIGHUP")
		case <-tick.C:
			now := r.stamps()
			if now != r.seen && now == pending && now[0] != (stamp{}) { // it is there, and nobody is writing
				r.seen = now
				r.reload("the file has changed")
			}
			pending = now
		}
	}
}

// kept is where what people told is kept.
func kept(c *config.Config) string {
	if c.People == nil {
		return ""
	}
	return c.People.Keep
}

// reload reads the configuration and has the gateway take it, whole or not at all.
func (r *reloader) reload(why string) {
	c, err := config.Load(r.file)
	if err != nil {
		r.gateway.RefuseReload()
		r.refuse(why, problemsOf(nil, r.file, err))
		return
	}
	if c.Store != r.Store || c.Pool != r.Pool || c.Scope != r.Scope || c.Log != r.Log || c.Limits.Shutdown != r.Limits.Shutdown || kept(c) != kept(r.Config) {
		r.gateway.RefuseReload()
		r.refuse(why, config.Problems{c.Problem("", "store, pool, scope, log, limits.shutdown and experience.keep cannot change while the gateway runs: restart it, or take that back")})
		return
	}
	cfg, err := served(c, r.db, r.visits, r.log)
	if err == nil {
		err = r.replicate(c)
	}
	if err != nil {
		r.gateway.RefuseReload()
	} else if err = r.gateway.Reload(cfg); err != nil {
		err = errors.Join(err, r.replicate(r.Config))
	}
	if err != nil {
		r.refuse(why, problemsOf(c, r.file, err))
		return
	}
	r.GeoIP, r.Reads.Replicas = c.GeoIP, c.Reads.Replicas
	r.log.Info("configuration reloaded", "file", r.file, "why", why)
}

// replicate has the database know the replicas of a configuration.
func (r *reloader) replicate(c *config.Config) error {
	db, ok := r.db.(*postgres.DB)
	if !ok || slices.Equal(c.Reads.Replicas, r.Reads.Replicas) && c != r.Config {
		return nil
	}
	if !r.gateway.Copied() && len(c.Reads.Replicas) > 0 {
		return c.Problem("replicas", "a gateway that was started without replicas cannot get some while it runs: restart it")
	}
	if err := db.SetReplicas(replicasOf(c)); err != nil {
		return c.Problem("replicas", oneLine(err))
	}
	return nil
}

func (r *reloader) refuse(why string, err error) {
	var problems config.Problems
	if !errors.As(err, &problems) {
		r.log.Error("configuration not reloaded, the old one holds", "why", why, "error", err)
		return
	}
	for _, p := range problems {
		r.log.Error("configuration not reloaded, the old one holds", "why", why, "error", p)
	}
}
