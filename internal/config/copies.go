package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// Reads says where else than to the primary reads may go.
type Reads struct {
	Replicas []Replica      // streaming replicas, in the file's order
	Choice   fulcrum.Choice // among them
	Cookie   bool           // browsers keep the token of their last change
}

// Replica is one copy of the database.
type Replica struct {
	Name   string
	DSN    Secret
	Region string
}

const wantReplica = "postgres://USER:PASSWORD@HOST/DATABASE"

func (c *Config) readReplicas(v value) {
	names := map[string]bool{}
	v.each("replicas, such as {name: a, store: postgres://…}", func(item value) {
		var r Replica
		item.fields(
			field{name: "name", read: intoText(&r.Name, "a name for figures and logs"), missing: "give it a name, for figures and logs"},
			field{name: "store", read: readReplicaStore(&r.DSN), missing: "name the database: " + wantReplica},
			field{name: "region", read: intoText(&r.Region, "where it is")},
		)
		switch {
		case r.Name == "primary":
			item.wrong("%q is what store is called: want another name", r.Name)
		case names[r.Name]:
			item.wrong("there is a replica %q already", r.Name)
		}
		names[r.Name] = true
		c.Reads.Replicas = append(c.Reads.Replicas, r)
	})
	if len(c.Reads.Replicas) > 63 {
		v.wrong("there are %d: want at most 63", len(c.Reads.Replicas))
	}
	v.later = append(v.later, func() {
		if c.Store.Kind == SQLite && len(c.Reads.Replicas) > 0 {
			v.wrong("an SQLite file has no replicas: leave them out, or name a PostgreSQL database as store")
		}
	})
}

// readReplicaStore never shows its value, as readStore.
func readReplicaStore(to *Secret) func(value) {
	return func(v value) {
		s, ok := v.text(wantReplica)
		if !ok {
			return
		}
		scheme, rest, _ := strings.Cut(s, ":")
		if u, err := url.Parse(s); scheme != "postgres" && scheme != "postgresql" || err != nil || !strings.HasPrefix(rest, "//") || u.Opaque != "" {
			v.wrong("is no address of a replica: want %s", wantReplica)
		}
		*to = Secret(s)
	}
}

func (c *Config) readReads(v value) {
	ch, size := &c.Reads.Choice, int64(0)
	v.fields(
		field{name: "region", read: intoText(&ch.Region, "where this gateway is")},
		field{name: "max_lag", read: intoDuration(&ch.MaxLag, time.Millisecond, 24*time.Hour)},
		field{name: "max_lag_bytes", read: intoSize(&size, 0, 1<<40)},
		field{name: "primary_share", read: intoShare(&ch.PrimaryShare, 1)},
		field{name: "read_primary", read: intoBool(&ch.ReadPrimary)},
		field{name: "hedge", read: intoShare(&ch.Hedge, 0.1)},
		field{name: "cookie", read: intoBool(&c.Reads.Cookie)},
	)
	if ch.MaxLagBytes = size; size == 0 && c.at[v.path+".max_lag_bytes"] != (position{}) {
		ch.MaxLagBytes = -1
	}
	v.later = append(v.later, func() {
		set := ch.Region != "" || ch.MaxLag != 0 || ch.MaxLagBytes != 0 || ch.PrimaryShare != 0 || ch.ReadPrimary || ch.Hedge != 0
		if set && len(c.Reads.Replicas) == 0 {
			v.wrong("says how to choose among replicas, and there are none: name replicas, or leave it out")
		}
	})
}

// intoShare reads a part of all, such as 0.02.
func intoShare(to *float64, high float64) func(value) {
	return func(v value) {
		want := fmt.Sprintf("a part of all, above 0 and at most %v", high)
		s, ok := v.text(want)
		if !ok {
			return
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f > 0 && f <= high) {
			v.wrong("%s: want %s", v.shown(), want)
			return
		}
		*to = f
	}
}
