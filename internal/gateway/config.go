package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// Config says what a Gateway serves and where.
type Config struct {
	// Listen is the address of the data listener, host:port; port 0 takes any that
	// is free. Default 127.0.0.1:8080.
	Listen string
	// Admin is the address of the admin listener. Default 127.0.0.1:8081.
	Admin string
	// Insecure allows listeners beyond this machine, where anybody who reaches them
	// can read every resource. Default false.
	Insecure bool

	// DB is the database. It stays the caller's, who closes it after Shutdown.
	// Required.
	DB store.DB
	// Resources are what is served, at least one, each name once.
	Resources []store.Resource
	// Policy holds the limits of each resource's Reader; zero fields mean their
	// defaults. InFlight + Reserved of all resources must fit in DB.Conns().
	Policy fulcrum.Policy

	// Timeout is the deadline of a request that names none. Default 30 s, between
	// 1 ms and 10 min.
	Timeout time.Duration
	// MaxKeys is the most keys in one batchGet. Default 10,000, at most 1,000,000.
	MaxKeys int
	// MaxBody is the longest body of a request, in bytes. Default 1 MiB, at most 1 GiB.
	MaxBody int64

	// Version is told by /api/v1/stats. Default "unknown".
	Version string
	// Log gets what went wrong inside. Default slog.Default().
	Log *slog.Logger
}

const (
	defaultListen  = "127.0.0.1:8080"
	defaultAdmin   = "127.0.0.1:8081"
	defaultTimeout = 30 * time.Second
	defaultMaxKeys = 10_000
	defaultMaxBody = 1 << 20

	minTimeout = time.Millisecond
	maxTimeout = 10 * time.Minute
)

// resourceName is what may stand in an address without being encoded.
var resourceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// withDefaults fills the fields that are zero.
func (c Config) withDefaults() Config {
	orDefault(&c.Listen, defaultListen)
	orDefault(&c.Admin, defaultAdmin)
	orDefault(&c.Timeout, defaultTimeout)
	orDefault(&c.MaxKeys, defaultMaxKeys)
	orDefault(&c.MaxBody, defaultMaxBody)
	orDefault(&c.Version, "unknown")
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate checks a configuration whose defaults are filled in.
func (c Config) validate() error {
	for _, l := range []struct{ field, address string }{{"Listen", c.Listen}, {"Admin", c.Admin}} {
		if err := checkAddress(l.address, c.Insecure); err != nil {
			return fmt.Errorf("gateway: %s: %w", l.field, err)
		}
	}
	if c.DB == nil {
		return errors.New("gateway: DB is missing: give it an opened store")
	}
	if err := checkNames(c.Resources); err != nil {
		return err
	}
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		return fmt.Errorf("gateway: Timeout: %s is not between %s and %s", c.Timeout, minTimeout, maxTimeout)
	}
	if c.MaxKeys < 1 || c.MaxKeys > 1_000_000 {
		return fmt.Errorf("gateway: MaxKeys: %d is not between 1 and 1000000", c.MaxKeys)
	}
	if c.MaxBody < 1 || c.MaxBody > 1<<30 {
		return fmt.Errorf("gateway: MaxBody: %d is not between 1 and %d", c.MaxBody, 1<<30)
	}
	return nil
}

func checkNames(resources []store.Resource) error {
	if len(resources) == 0 {
		return errors.New("gateway: Resources: there is none; name at least one")
	}
	seen := make(map[string]bool, len(resources))
	for _, r := range resources {
		if !resourceName.MatchString(r.Name) {
			return fmt.Errorf("gateway: Resources: name %q: want a letter, then up to 63 letters, digits, _ or -", r.Name)
		}
		if seen[r.Name] {
			return fmt.Errorf("gateway: Resources: name %q is there twice", r.Name)
		}
		seen[r.Name] = true
	}
	return nil
}

// checkAddress wants host:port, and unless insecure a host that only this machine
// can reach.
func checkAddress(address string, insecure bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address: want host:port, such as 127.0.0.1:8080", address)
	}
	if insecure || host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from other machines, and anybody could read everything: use 127.0.0.1, or say insecure if that is meant", address)
}

// checkConns sees to it that every slot has a connection, without which the
// reserved ones would not be.
func (c Config) checkConns(p fulcrum.Policy) error {
	need := len(c.Resources) * (p.InFlight + max(0, p.Reserved))
	if have := c.DB.Conns(); need > have {
		return fmt.Errorf("gateway: Policy: %d resources with InFlight %d + Reserved %d need %d connections, the database has %d: lower InFlight or raise the pool",
			len(c.Resources), p.InFlight, max(0, p.Reserved), need, have)
	}
	return nil
}
