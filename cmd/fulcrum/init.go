package main

import (
	"fmt"

	"github.com/fulcrum-data/fulcrum/internal/config"
	"github.com/fulcrum-data/fulcrum/store"
)

// initCommand is fulcrum init.
type initCommand struct {
	Config string `help:"The configuration that names the database." short:"c" required:"" placeholder:"FILE"`
	Print  bool   `help:"Print the statements instead of running them."`
}

// Run makes Fulcrum's own tables, or prints how.
func (c *initCommand) Run(t terminal) error {
	conf, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	db, err := openStore(t.ctx, conf)
	if err != nil {
		return err
	}
	defer db.Close()
	keeper, ok := db.(store.Keeper)
	if !ok {
		return fmt.Errorf("init: %s needs no tables of ours", conf.Store)
	}
	if c.Print {
		_, err := fmt.Fprint(t.stdout, keeper.InitSQL())
		return err
	}
	if err := keeper.Init(t.ctx); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	_, err = fmt.Fprintf(t.stdout, "%s has the tables fulcrum_once, fulcrum_positions, fulcrum_dead_letters and fulcrum_beacons\n", conf.Store)
	return err
}
