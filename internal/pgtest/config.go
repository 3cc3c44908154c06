//go:build unix

package pgtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Config describes a server. The zero value is a small, fast, forgetful one.
type Config struct {
	// Databases are created at the first start, beside "postgres". DSN names
	// the first of them, or "postgres" if there is none.
	Databases []string

	// MaxConnections is the server's max_connections (count). Zero means 100.
	MaxConnections int

	// Durable turns on fsync and full_page_writes, for write figures and for
	// tests in which the machine is meant to lose power. Without it a commit
	// still survives Kill, because the kernel keeps what was written.
	Durable bool

	// OwnCluster makes it a cluster with a system identifier of its own. All others are
	// copies of one, as replicas are.
	OwnCluster bool

	// Settings are further lines of postgresql.conf. They win over all of
	// this package's own but the address and the port.
	Settings map[string]string
}

// An Option changes the Config of the server that Start starts.
type Option func(*Config)

// Databases asks for databases to be created; DSN names the first.
func Databases(names ...string) Option {
	return func(c *Config) { c.Databases = append(c.Databases, names...) }
}

// MaxConnections sets how many connections the server accepts.
func MaxConnections(n int) Option {
	return func(c *Config) { c.MaxConnections = n }
}

// Durable makes every commit wait for the disk.
func Durable() Option {
	return func(c *Config) { c.Durable = true }
}

// Setting adds one line to postgresql.conf.
func Setting(name, value string) Option {
	return func(c *Config) {
		if c.Settings == nil {
			c.Settings = make(map[string]string)
		}
		c.Settings[name] = value
	}
}

// database is the one that DSN names.
func (c Config) database() string {
	if len(c.Databases) > 0 {
		return c.Databases[0]
	}
	return "postgres"
}

// settings is everything but the port, in the order in which it is written.
// Of two lines for one name PostgreSQL takes the last.
func (c Config) settings() string {
	var b strings.Builder
	maxConnections := c.MaxConnections
	if maxConnections == 0 {
		maxConnections = 100
	}
	durable := "off"
	if c.Durable {
		durable = "on"
	}
	setting(&b, "max_connections", strconv.Itoa(maxConnections))
	setting(&b, "fsync", durable)
	setting(&b, "full_page_writes", durable)
	setting(&b, "synchronous_commit", "on")
	setting(&b, "shared_buffers", "64MB")
	setting(&b, "timezone", "UTC")
	setting(&b, "wal_receiver_status_interval", "1s")
	setting(&b, "wal_retrieve_retry_interval", "200ms")
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		setting(&b, name, c.Settings[name])
	}
	setting(&b, "listen_addresses", "127.0.0.1")
	setting(&b, "unix_socket_directories", "")
	return b.String()
}

// setting writes one line of postgresql.conf.
func setting(b *strings.Builder, name, value string) {
	fmt.Fprintf(b, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
}
