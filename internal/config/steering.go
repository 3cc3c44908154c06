package config

import (
	"errors"
	"net/netip"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/region"
)

// readTuner has the library's own bounds.
func (c *Config) readTuner(v value) {
	b := &c.Backend
	kind, prefer := "", ""
	v.fields(
		field{name: "kind", read: intoChoice(&kind, "auto", "fixed", "threshold")},
		field{name: "in_flight", read: intoInt(&b.InFlight, 1, 10_000)},
		field{name: "min_in_flight", read: intoInt(&b.MinInFlight, 1, 10_000)},
		field{name: "max_in_flight", read: intoInt(&b.MaxInFlight, 1, 10_000)},
		field{name: "reserved", read: intoCount(&b.Reserved, 10_000)},
		field{name: "slo", read: intoP99(&b.P99)},
		field{name: "urgent_slo", read: intoP99(&b.UrgentP99)},
		field{name: "prefer", read: intoChoice(&prefer, "latency", "cost")},
	)
	b.Tuner = map[string]fulcrum.Tuner{"fixed": fulcrum.TunerFixed, "threshold": fulcrum.TunerThreshold}[kind]
	b.FewerQueries = prefer == "cost"
	switch {
	case b.Tuner == fulcrum.TunerAuto && b.InFlight != 0:
		v.wrong("in_flight is for kind fixed or threshold: auto finds it between min_in_flight and max_in_flight")
	case b.MaxInFlight != 0 && b.MinInFlight > b.MaxInFlight:
		v.wrong("min_in_flight %d is more than max_in_flight %d", b.MinInFlight, b.MaxInFlight)
	case b.MaxInFlight != 0 && b.InFlight > b.MaxInFlight:
		v.wrong("in_flight %d is more than max_in_flight %d", b.InFlight, b.MaxInFlight)
	}
}

// intoP99 reads p99=20ms.
func intoP99(to *time.Duration) func(value) {
	const want = "a promise such as p99=20ms"
	return func(v value) {
		s, ok := v.text(want)
		if !ok {
			return
		}
		slo, err := region.ParseSLO(s)
		switch {
		case err != nil:
			v.wrong("%s: %v", v.shown(), err)
		case slo.Percentile != 99:
			v.wrong("%s: the tuner keeps the 99th percentile: want %s", v.shown(), want)
		}
		*to = slo.Target
	}
}

// readStress says when the mode changes by itself, and when the circuit opens.
func (c *Config) readStress(v value) {
	b, circuit := &c.Backend, true
	v.fields(
		field{name: "slow_at", read: intoDuration(&b.SlowAt, time.Millisecond, time.Hour)},
		field{name: "call_timeout", read: intoDuration(&b.CallTimeout, time.Millisecond, time.Hour)},
		field{name: "circuit", read: intoBool(&circuit)},
	)
	b.NoCircuit = !circuit
}

// readRegions reads regions and their policies.
func (c *Config) readRegions(v value) {
	if !v.is(yaml.MappingNode, "names, each with a policy") {
		return
	}
	v.members(func(name *yaml.Node, member value) {
		c.Regions = append(c.Regions, readRegion(name.Value, member))
	})
	v.later = append(v.later, func() {
		for _, wrong := range region.Check(c.Regions) {
			path := join(v.path, wrong.Region)
			if wrong.Field != "" {
				path = join(path, wrong.Field)
			}
			v.problems = append(v.problems, (&Config{File: v.file, at: v.at}).Problem(path, wrong.Problem))
		}
	})
}

func readRegion(name string, v value) region.Region {
	r, mode := region.Region{Name: name}, ""
	v.fields(
		field{name: "mode", read: intoChoice(&mode, modeWords...)},
		field{name: "max_batch", read: intoInt(&r.Policy.MaxBatch, 1, 100_000)},
		field{name: "linger", read: intoDuration(&r.Policy.Linger, 2*time.Millisecond, time.Second)},
		field{name: "slo", read: func(v value) {
			s, ok := v.text("a promise such as p99=20ms")
			if !ok {
				return
			}
			var err error
			if r.Policy.SLO, err = region.ParseSLO(s); err != nil {
				v.wrong("%s: %v", v.shown(), err)
			}
		}},
		field{name: "areas", read: func(v value) { readAreas(v, &r.Areas) }},
	)
	r.Policy.Mode = modes[mode]
	return r
}

func readAreas(v value, to *[]region.Area) {
	const want = "areas such as europe, DE, US-CA or fly:fra"
	v.each(want, func(v value) {
		s, ok := v.text(want)
		if !ok {
			return
		}
		a, err := region.ParseArea(s)
		if err != nil {
			v.wrong("%s: %v", v.shown(), err)
			return
		}
		*to = append(*to, a)
	})
}

// readProxies reads addresses and networks.
func (c *Config) readProxies(v value) {
	const want = "addresses or networks, such as 10.0.0.0/8"
	v.each(want, func(v value) {
		s, ok := v.text(want)
		if !ok {
			return
		}
		p, err := parseNetwork(s)
		if err != nil {
			v.wrong("%s: want one of %s", v.shown(), want)
			return
		}
		c.Proxies = append(c.Proxies, p)
	})
}

func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return p, errors.New("bits beyond the network")
		}
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, errors.New("no address")
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
