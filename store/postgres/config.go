package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says which database to use, and how much of it.
type Config struct {
	// DSN is a connection string as libpq knows it, either form:
	// postgres://user:password@host:port/database?sslmode=verify-full or
	// "host=… user=…". What it leaves out comes from the PG… environment.
	// Required.
	DSN string

	// MinConns is how many connections are kept open even when idle (count).
	// Default 10, or MaxConns if that is less; -1 means none.
	MinConns int

	// MaxConns is the most connections (count): the Reader's InFlight + Reserved
	// must fit in. Default 50, at most 10,000.
	MaxConns int

	// Timeout bounds a call whose context has no earlier deadline, with its wait
	// for a connection. Default 30 s.
	Timeout time.Duration

	// ScopeSetting is the parameter that holds the scope of a call for the
	// policies of row-level security, such as "app.tenant": two or more names
	// joined by dots. Default empty: calls are plain queries.
	ScopeSetting string

	// Replicas are streaming replicas, which reads may go to: see DB.Copies. Each has as
	// many connections as the primary. Default none.
	Replicas []Replica

	// Region is where the primary is, for fulcrum.Choice.Region. Default: nowhere.
	Region string

	// Tokens has each commit ask for its place in the write-ahead log, which readers of
	// replicas can wait for. It is a further statement, a tenth of what a commit costs.
	// Default false: commits have no tokens.
	Tokens bool
}

const (
	defaultMinConns = 10
	defaultMaxConns = 50
	mostConns       = 10_000
	defaultTimeout  = 30 * time.Second

	connectTimeout = 10 * time.Second // unless the DSN has connect_timeout
	pingTimeout    = 5 * time.Second  // of one health check

	// genericPlans is set on every session that does not choose for itself.
	genericPlans = "plan_cache_mode"
)

// withDefaults checks the configuration and fills in what is missing.
func (c Config) withDefaults() (Config, error) {
	if c.DSN == "" {
		return c, errors.New("postgres: Config.DSN is missing: give it postgres://user@host:port/database")
	}
	if c.MaxConns == 0 {
		c.MaxConns = defaultMaxConns
	}
	if c.MaxConns < 1 || c.MaxConns > mostConns {
		return c, fmt.Errorf("postgres: Config.MaxConns: %d is not between 1 and %d", c.MaxConns, mostConns)
	}
	switch {
	case c.MinConns == 0:
		c.MinConns = min(defaultMinConns, c.MaxConns)
	case c.MinConns == -1:
		c.MinConns = 0
	case c.MinConns < -1 || c.MinConns > c.MaxConns:
		return c, fmt.Errorf("postgres: Config.MinConns: %d is neither -1 nor between 1 and MaxConns (%d)", c.MinConns, c.MaxConns)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("postgres: Config.Timeout: %s is negative", c.Timeout)
	}
	if c.ScopeSetting != "" && !validSetting(c.ScopeSetting) {
		return c, fmt.Errorf("postgres: Config.ScopeSetting: %q is not two or more names joined by dots, such as app.tenant", c.ScopeSetting)
	}
	return c, nil
}

// validSetting says whether PostgreSQL takes a name for a parameter of ours.
func validSetting(name string) bool {
	parts := strings.Split(name, ".")
	for _, p := range parts {
		for i, r := range p {
			letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > math.MaxInt8
			if !letter && (i == 0 || r != '$' && (r < '0' || r > '9')) {
				return false
			}
		}
		if p == "" {
			return false
		}
	}
	return len(parts) > 1
}

// dsnProblems are what the driver says of a DSN before it quotes from it. Nothing
// else of its message is shown: it may hold the password.
var dsnProblems = []string{
	"failed to parse as URL", "failed to parse as keyword/value", "failed to read service",
	"invalid sslcertmode", "invalid connect_timeout", "could not match", "invalid port",
	"failed to configure TLS", "unknown target_session_attrs value", "invalid min_protocol_version",
	"invalid max_protocol_version", "unknown channel_binding value", "invalid require_auth",
	"cannot parse statement_cache_capacity", "cannot parse description_cache_capacity",
}

func dsnError(err error) error {
	text := err.Error()
	for _, p := range dsnProblems {
		if strings.Contains(text, p) {
			return fmt.Errorf("postgres: Config.DSN: %s; want postgres://user:password@host:port/database?sslmode=…", p)
		}
	}
	return errors.New("postgres: Config.DSN cannot be read; want postgres://user:password@host:port/database?sslmode=…")
}

// poolConfig translates a checked configuration for the driver.
func (c Config) poolConfig() (*pgxpool.Config, error) {
	plain, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return nil, dsnError(err)
	}
	for name := range plain.RuntimeParams {
		if strings.HasPrefix(name, "pool_") {
			return nil, fmt.Errorf("postgres: Config.DSN: %s belongs into Config, see MinConns and MaxConns", name)
		}
	}
	p, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		return nil, dsnError(err)
	}
	p.MinConns, p.MaxConns = int32(c.MinConns), int32(c.MaxConns)
	p.MaxConnLifetimeJitter = p.MaxConnLifetime / 10
	// A dead connection is noticed when it is used, and the read tried again: that
	// costs nothing while all is well, where a ping before use costs a round trip.
	p.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	tuneConn(p.ConnConfig)
	return p, nil
}

// tuneConn sets what a connection must be like for us, where the DSN is silent.
func tuneConn(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	// A peer that vanished without a word is found out within half a minute, also
	// on a connection that nobody uses.
	dialer := &net.Dialer{
		Timeout:         c.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	c.DialFunc = dialer.DialContext
	for name, value := range map[string]string{"client_encoding": "UTF8", "application_name": "fulcrum"} {
		if c.RuntimeParams[name] == "" {
			c.RuntimeParams[name] = value
		}
	}
}

// prepareSession makes a new session plan its statements once. Servers before
// PostgreSQL 12 do not know how, and may plan as they like. It is not a startup
// parameter because poolers refuse those.
func prepareSession(ctx context.Context, c *pgx.Conn) error {
	if p := c.Config().RuntimeParams; p[genericPlans] != "" || strings.Contains(p["options"], genericPlans) {
		return nil
	}
	_, err := c.PgConn().Exec(ctx, "set "+genericPlans+" = force_generic_plan").ReadAll()
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}
