package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/cache"
	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/internal/region"
	"github.com/fulcrum-data/fulcrum/store"
)

// Config says what a Gateway serves and where.
type Config struct {
	// Listen is the address of the data listener, host:port; port 0 takes any that
	// is free. Default 127.0.0.1:8080.
	Listen string
	// Admin is the address of the admin listener. Default 127.0.0.1:8081.
	Admin string
	// Insecure allows listeners beyond this machine that nobody guards: the data
	// listener without tokens, and the admin listener. Default false.
	Insecure bool
	// Tokens are who may ask. Default none: everybody who reaches the data listener.
	Tokens []Token

	// DB is the database. It stays the caller's, who closes it after Shutdown.
	// Required.
	DB store.DB
	// Resources are what is served, at least one, each name once.
	Resources []store.Resource
	// Caches keep rows of resources, by their names; a Config's Size is the gateway's own.
	// Default none.
	Caches map[string]cache.Config[store.Key, []byte]
	// Shared is a Redis in which gateways find what others have read of resources with a
	// cache, and hear of each other's changes. Default nil: there is none.
	Shared *Shared
	// Policy holds the limits of each Reader; there is one for each resource in each
	// region. Its InFlight and Reserved have no meaning: see Backend.
	Policy fulcrum.Policy
	// Backend says what the database bears. MaxInFlight + Reserved must fit in
	// DB.Conns(); by default they are all of these, up to a third of them reserved.
	// Its Name, Copies, OnDecision and OnEvent are the gateway's own: a store.Copied with
	// replicas has them read.
	Backend fulcrum.BackendConfig

	// Cookie has browsers keep the token of their last change, so that they read their own
	// writes. Default false: clients send Fulcrum-After.
	Cookie bool

	// Commits says what the database bears of changes, where a resource is Writable. By
	// default a quarter of DB.Conns(), at most 8, one of them reserved for urgent changes;
	// Backend has the rest. A store.Committer has its own. Its Name, OnDecision and OnEvent
	// are the gateway's own.
	Commits fulcrum.BackendConfig

	// Journal is a folder with one file for each Writable resource, in which changes with
	// Fulcrum-Durability: journaled wait to be made. DB must be an initialised
	// store.Keeper. Default empty: such changes are refused.
	Journal string
	// Aside leaves the Journal to the gateway that serves: for commands that run beside it
	// or before it. Default false.
	Aside bool

	// Regions have policies of their own. Default none: Policy holds for everybody.
	Regions []region.Region
	// Proxies are whose CDN headers and X-Forwarded-For are believed. Default none.
	Proxies []netip.Prefix
	// Geo finds the regions of addresses. Default nil: addresses are not looked at.
	Geo *region.Geo

	// Experience lets browsers tell what people feel: /fulcrum.js and /v1/experience on
	// the data listener, without a token. Default nil: there is neither.
	Experience *beacon.Config
	// Visits is where beacons are kept, so that they outlive a restart: an initialised
	// store.Keeper, DB itself or another. It stays the caller's. Default nil: in memory.
	Visits store.DB

	// Timeout is the deadline of a request that names none. Default 30 s, between
	// 1 ms and 10 min.
	Timeout time.Duration
	// MaxKeys is the most keys in one batchGet. Default 10,000, at most 1,000,000.
	MaxKeys int
	// MaxBody is the longest body of a request, in bytes. Default 1 MiB, at most 1 GiB.
	MaxBody int64
	// MaxHeader is the longest header of a request, in bytes; net/http adds 4 KiB.
	// Default 16 KiB, between 1 KiB and 1 MiB.
	MaxHeader int

	// Usage has the gateway take note of its requests, for /api/v1/usage. Default false.
	Usage bool

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
	defaultHeader  = 16 << 10

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
	orDefault(&c.MaxHeader, defaultHeader)
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

// FieldError says which field of a Config cannot be as it is.
type FieldError struct {
	Field   string // of Config
	Problem string // what is wrong, and what to do
}

// Error gives field and problem.
func (e *FieldError) Error() string { return "gateway: " + e.Field + ": " + e.Problem }

// validate checks a configuration whose defaults are filled in.
func (c Config) validate() error {
	open := "anybody could read everything: use 127.0.0.1, name tokens, or say insecure if that is meant"
	err := checkAddress("Listen", c.Listen, c.Insecure || len(c.Tokens) > 0, open)
	open = "anybody could read figures and profiles: use 127.0.0.1, or say insecure if that is meant"
	err = errors.Join(err, checkAddress("Admin", c.Admin, c.Insecure, open))
	if c.DB == nil {
		err = errors.Join(err, &FieldError{"DB", "is missing: give it an opened store"})
	}
	err = errors.Join(err, checkNames(c.Resources), c.checkCaches())
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		err = errors.Join(err, &FieldError{"Timeout", fmt.Sprintf("%s is not between %s and %s", c.Timeout, minTimeout, maxTimeout)})
	}
	for _, f := range []struct {
		name             string
		value, low, high int64
	}{
		{"MaxKeys", int64(c.MaxKeys), 1, 1_000_000},
		{"MaxBody", c.MaxBody, 1, 1 << 30},
		{"MaxHeader", int64(c.MaxHeader), 1 << 10, 1 << 20},
	} {
		if f.value < f.low || f.value > f.high {
			err = errors.Join(err, &FieldError{f.name, fmt.Sprintf("%d is not between %d and %d", f.value, f.low, f.high)})
		}
	}
	return err
}

func checkNames(resources []store.Resource) error {
	if len(resources) == 0 {
		return &FieldError{"Resources", "there is none; name at least one"}
	}
	seen := make(map[string]bool, len(resources))
	var all []error
	for _, r := range resources {
		wrong := ""
		switch {
		case !resourceName.MatchString(r.Name):
			wrong = "want a letter, then up to 63 letters, digits, _ or -"
		case seen[r.Name]:
			wrong = "is there twice"
		}
		if wrong != "" {
			all = append(all, fmt.Errorf("gateway: %w", &store.ConfigError{Resource: r.Name, Field: "name", Problem: wrong}))
		}
		seen[r.Name] = true
	}
	return errors.Join(all...)
}

// checkAddress wants host:port, and unless guarded a host that only this machine
// can reach; open says what would happen else.
func checkAddress(field, address string, guarded bool, open string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return &FieldError{field, fmt.Sprintf("%q is no address: want host:port, such as 127.0.0.1:8080", address)}
	}
	if guarded || Loopback(address) {
		return nil
	}
	return &FieldError{field, fmt.Sprintf("%s can be reached from other machines, and %s", address, open)}
}

// Loopback says whether only this machine can reach an address.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
