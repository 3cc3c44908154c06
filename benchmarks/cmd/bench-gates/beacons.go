package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
)

const (
	beaconRate  = 2000 // a second
	beaconConns = 16   // browsers' connections
)

// beaconCells reads rows while browsers tell what people feel, and while they do not.
func beaconCells() ([]duel.Cell, func(), error) {
	b, err := pgusers.Start()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "bench-gates-*")
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	b.Closing(func() { _ = os.RemoveAll(dir) })
	var cells []duel.Cell
	for _, c := range []struct{ name, config string }{
		{"64 connections, beside 2,000 beacons/s", "experience: {}"},
		{"the same, and they are kept in a file", "experience: {keep: " + filepath.Join(dir, "visits.db") + "}"},
	} {
		addr, err := startProgram(b, filepath.Join(dir, "fulcrum"), filepath.Join(dir, "fulcrum.yaml"), gatewayConfig+c.config+"\n")
		if err != nil {
			b.Close()
			return nil, nil, err
		}
		cells = append(cells, beside(c.name, addr))
	}
	return cells, b.Close, nil
}

// beside reads from a gateway that is told of beacons, and one that is not.
func beside(name, addr string) duel.Cell {
	read := overHTTP(addr, 64)
	return duel.Cell{
		Name: name, Gate: .8, Theirs: read,
		Ours: func(d time.Duration) (rate float64, err error) {
			stop := make(chan struct{})
			told := make(chan error, 1)
			go func() { told <- tell(addr, stop) }()
			rate, err = read(d)
			close(stop)
			return rate, errors.Join(err, <-told)
		},
	}
}

// tell sends beacons at their rate until stop, over connections that are made first. It
// is an error if fewer than 99 of 100 are sent or taken.
func tell(addr string, stop <-chan struct{}) error {
	var sent, taken atomic.Int64
	began := time.Now()
	errs := make(chan error, beaconConns)
	var wg sync.WaitGroup
	for i := range beaconConns {
		wg.Go(func() { errs <- tellOver(addr, i, began, stop, &sent, &taken) })
	}
	wg.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	due := int64(time.Since(began).Seconds() * beaconRate)
	if all == nil && (sent.Load() < due*99/100-beaconConns || taken.Load() < sent.Load()*99/100) {
		all = fmt.Errorf("of %d beacons that were due %d were sent and %d taken", due, sent.Load(), taken.Load())
	}
	return all
}

var beaconNumber atomic.Int64 // none comes twice

// tellOver sends every so many-th beacon over one connection, when it is due.
func tellOver(addr string, i int, began time.Time, stop <-chan struct{}, sent, taken *atomic.Int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for n := i; ; n += beaconConns {
		due := began.Add(time.Duration(n) * time.Second / beaconRate)
		select {
		case <-stop:
			return nil
		case <-time.After(time.Until(due)):
		}
		id := beaconNumber.Add(1)
		body := fmt.Sprintf(`{"id":"00000000-0000-4000-8000-%012x","view":"00000000-0000-4000-9000-%012x","session":"00000000-0000-4000-a000-%012x","page":"/cart","region":"europe","device":"touch","vitals":{"TTFB":0.12,"FCP":0.4,"LCP":0.9,"CLS":0.01,"INP":0.08},"wait":1.5,"conversion":{"name":"checkout","value":9.5}}`, id, id, id/5)
		if _, err := fmt.Fprintf(conn, "POST /v1/experience HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", addr, addr, len(body), body); err != nil {
			return err
		}
		sent.Add(1)
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusNoContent {
			taken.Add(1)
		}
	}
}
