package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/region"
	"github.com/fulcrum-data/fulcrum/store"
)

// start serves a gateway on free ports and returns what Serve will return.
func start(t *testing.T, cfg Config) (*Gateway, <-chan error) {
	t.Helper()
	g := newGateway(t, cfg)
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve() }()
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	return g, served
}

func get(client *http.Client, url string) (int, string, error) {
	res, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestEveryCallerGetsItsOwnRow(t *testing.T) {
	g, _ := start(t, testConfig(&memory{}))
	client := newClient(t)
	var wg sync.WaitGroup
	for caller := range 32 {
		wg.Go(func() {
			for i := range 100 {
				id := (caller*37 + i*11) % 500
				status, body, err := get(client, fmt.Sprintf("http://%s/v1/users/%d", g.Addr(), id))
				if want := fmt.Sprintf(`{"key":["%d"],"pad":""}`, id); err != nil || status != 200 || body != want {
					t.Errorf("user %d: %d %q %v", id, status, body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if s := g.Reader("users").Stats(); s.Answered != 3200 {
		t.Errorf("%d answered", s.Answered)
	}
}

// Whoever was let in before the shutdown gets an answer; whoever comes later
// finds nobody there. Nothing in between.
func TestShutdownUnderLoad(t *testing.T) {
	g, served := start(t, testConfig(&memory{}))
	client := newClient(t)
	var answered, refused atomic.Int64
	var wg sync.WaitGroup
	for caller := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				status, body, err := get(client, fmt.Sprintf("http://%s/v1/users/%d", g.Addr(), caller))
				switch {
				case err != nil:
					refused.Add(1)
					return
				case status != 200 || !strings.Contains(body, fmt.Sprintf(`["%d"]`, caller)):
					t.Errorf("%d %q", status, body)
				}
				answered.Add(1)
			}
		})
	}
	waitFor(t, func() bool { return answered.Load() > 500 })
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := <-served; err != nil {
		t.Error(err)
	}
	s := g.Reader("users").Stats()
	if s.Queued+s.InFlight != 0 || s.Failed != 0 || s.Admitted != s.Answered+s.Cancelled {
		t.Errorf("left over: %+v", s)
	}
	if _, err := g.Reader("users").Get(t.Context(), "1"); !errors.Is(err, fulcrum.ErrClosed) {
		t.Errorf("the reader is still open: %v", err)
	}
}

// A request in flight is waited for; while that lasts the admin listener says why.
func TestShutdownWaits(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	g, _ := start(t, testConfig(&memory{fetch: func(context.Context, []store.Key) error {
		close(entered)
		<-release
		return nil
	}}))
	client := newClient(t)
	answers := make(chan int)
	go func() {
		status, _, _ := get(client, "http://"+g.Addr()+"/v1/users/1")
		answers <- status
	}()
	<-entered
	shut := make(chan error)
	go func() { shut <- g.Shutdown(context.Background()) }()
	waitFor(t, func() bool {
		status, body, err := get(client, "http://"+g.AdminAddr()+"/readyz")
		return err == nil && status == 503 && strings.Contains(body, `"draining"`)
	})
	close(release)
	if status := <-answers; status != 200 {
		t.Errorf("status %d", status)
	}
	if err := <-shut; err != nil {
		t.Error(err)
	}
}

func TestShutdownGivesUp(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	g, _ := start(t, testConfig(&memory{fetch: func(context.Context, []store.Key) error {
		close(entered)
		<-release
		return nil
	}}))
	client := newClient(t)
	gone := make(chan error)
	go func() {
		_, _, err := get(client, "http://"+g.Addr()+"/v1/users/1")
		gone <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("error %v", err)
	}
	if err := <-gone; err == nil {
		t.Error("the request was not cut off")
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for _, c := range []struct{ listen, admin, want string }{
		{address, "127.0.0.1:0", "the data listener cannot have " + address + ": the port is in use"},
		{"127.0.0.1:0", address, "the admin listener cannot have " + address + ": the port is in use"},
		{"192.0.2.1:8080", "127.0.0.1:0", "this machine does not have that address"},
		{"127.0.0.1:99999", "127.0.0.1:0", "the data listener cannot have 127.0.0.1:99999: "},
	} {
		cfg := testConfig(&memory{})
		cfg.Listen, cfg.Admin, cfg.Insecure = c.listen, c.admin, true
		if err := newGateway(t, cfg).Listen(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s and %s: %v, want %q", c.listen, c.admin, err, c.want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"address", func(c *Config) { c.Listen = "8080" }, `gateway: Listen: "8080" is no address: want host:port`},
		{"open to all", func(c *Config) { c.Admin = ":8081" }, "gateway: Admin: :8081 can be reached from other machines"},
		{"no database", func(c *Config) { c.DB = nil }, "gateway: DB: is missing"},
		{"no resources", func(c *Config) { c.Resources = nil }, "gateway: Resources: there is none"},
		{"bad name", func(c *Config) { c.Resources[0].Name = "a:b" }, `gateway: resource "a:b": name: want a letter`},
		{"same name", func(c *Config) { c.Resources[1].Name = "users" }, `gateway: resource "users": name: is there twice`},
		{"no table", func(c *Config) { c.Resources[1].Table = "" }, `gateway: resource "things": table: it is missing`},
		{"short time", func(c *Config) { c.Timeout = 1 }, "gateway: Timeout: 1ns is not between 1ms and 10m0s"},
		{"many keys", func(c *Config) { c.MaxKeys = -1 }, "gateway: MaxKeys: -1 is not between"},
		{"large body", func(c *Config) { c.MaxBody = 1 << 40 }, "gateway: MaxBody: 1099511627776 is not between"},
		{"policy", func(c *Config) { c.Policy.MaxBatch = -1 }, "Policy.MaxBatch: -1 is not between"},
		{"pool", func(c *Config) { c.Backend.MaxInFlight = 17 }, "gateway: Backend: 17 batches in flight + 2 reserved need 19 connections, the database has 18: lower them or raise the pool"},
		{"tuner", func(c *Config) { c.Backend.Tuner = 9 }, "BackendConfig.Tuner: 9 is no tuner"},
		{"region", func(c *Config) { c.Regions = []region.Region{{Name: "a b"}} }, "region: a b: want a name"},
		{"region's policy", func(c *Config) {
			c.Regions = []region.Region{{Name: "east", Policy: region.Policy{MaxBatch: -1, Linger: 1}}}
		}, "gateway: region east: "},
	} {
		cfg := testConfig(&memory{})
		c.change(&cfg)
		if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestUnknownReader(t *testing.T) {
	if r := newGateway(t, testConfig(&memory{})).Reader("none"); r != nil {
		t.Error("a reader for no resource")
	}
}
