package main

import (
	"fmt"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
)

// pgCells compares on loopback, and through delays of 1 and 5 ms.
func pgCells() ([]duel.Cell, func(), error) {
	b, err := pgusers.Start()
	if err != nil {
		return nil, nil, err
	}
	cells, err := pgDuels(b)
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	return cells, b.Close, nil
}

func pgDuels(b *pgusers.Server) ([]duel.Cell, error) {
	pool, err := b.Pool(b.Addr(), 10)
	if err != nil {
		return nil, err
	}
	r, err := b.Reader(b.Addr(), 10, fulcrum.Policy{})
	if err != nil {
		return nil, err
	}
	handName, hand, err := pgusers.BestByHand(pool)
	if err != nil {
		return nil, err
	}
	cells := []duel.Cell{
		{Name: "1 caller, bare query", Ours: pgusers.Through(r, 1), Theirs: pgusers.Direct(pool, 1), Gate: .95, Alone: true},
		{Name: "64 callers, direct (pool 10)", Ours: pgusers.Through(r, 64), Theirs: pgusers.Direct(pool, 64), Gate: 3},
		{Name: "256 callers, direct (pool 10)", Ours: pgusers.Through(r, 256), Theirs: pgusers.Direct(pool, 256), Gate: 4},
		{Name: "1024 callers, direct (pool 10)", Ours: pgusers.Through(r, 1024), Theirs: pgusers.Direct(pool, 1024), Gate: 5},
		{Name: "1024 callers, by hand: " + handName, Ours: pgusers.Through(r, 1024), Theirs: hand, Gate: .65, Target: .85},
	}
	for _, delay := range []time.Duration{time.Millisecond, 5 * time.Millisecond} {
		c, err := pgDelayed(b, delay)
		if err != nil {
			return nil, err
		}
		cells = append(cells, c)
	}
	return cells, nil
}

// delayed compares through a proxy that adds to each round trip.
func pgDelayed(b *pgusers.Server, delay time.Duration) (duel.Cell, error) {
	addr, err := b.Away(delay)
	if err != nil {
		return duel.Cell{}, err
	}
	pool, err := b.Pool(addr, 10)
	if err != nil {
		return duel.Cell{}, err
	}
	r, err := b.Reader(addr, 10, fulcrum.Policy{})
	if err != nil {
		return duel.Cell{}, err
	}
	return duel.Cell{
		Name: fmt.Sprintf("1024 callers, direct (pool 10), %s away", delay),
		Ours: pgusers.Through(r, 1024), Theirs: pgusers.Direct(pool, 1024), Gate: 12,
	}, nil
}
