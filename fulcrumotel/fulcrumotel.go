package fulcrumotel

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/fulcrum-data/fulcrum"
)

// Source is what has Stats: a fulcrum.Reader of any type.
type Source interface{ Stats() fulcrum.Stats }

// readerInstruments are made once for all sources of a registration.
type readerInstruments struct {
	requests, joined, queries, saved, batches, keys, refused metric.Int64ObservableCounter
	queued, inFlight                                         metric.Int64ObservableGauge
	queue, response, service                                 metric.Float64ObservableGauge
}

// maker makes instruments and keeps what went wrong.
type maker struct {
	meter metric.Meter
	all   []metric.Observable
	errs  []error
}

func (m *maker) counter(name, unit, text string) metric.Int64ObservableCounter {
	c, err := m.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
	m.made(c, err)
	return c
}

func (m *maker) gauge(name, unit, text string) metric.Int64ObservableGauge {
	g, err := m.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
	m.made(g, err)
	return g
}

func (m *maker) seconds(name, text string) metric.Float64ObservableGauge {
	g, err := m.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(text))
	m.made(g, err)
	return g
}

func (m *maker) made(o metric.Observable, err error) {
	m.all = append(m.all, o)
	m.errs = append(m.errs, err)
}

// register has f called at each collection.
func (m *maker) register(f metric.Callback) (metric.Registration, error) {
	if err := errors.Join(m.errs...); err != nil {
		return nil, fmt.Errorf("fulcrumotel: %w", err)
	}
	r, err := m.meter.RegisterCallback(f, m.all...)
	if err != nil {
		return nil, fmt.Errorf("fulcrumotel: %w", err)
	}
	return r, nil
}

// Register has a meter tell of Readers until the registration is ended. Each must have
// a name of its own (ReaderConfig.Name), or their figures cannot be told apart.
func Register(meter metric.Meter, sources ...Source) (metric.Registration, error) {
	names := make(map[string]bool, len(sources))
	for _, s := range sources {
		name := s.Stats().Name
		if names[name] {
			return nil, fmt.Errorf("fulcrumotel: two readers are called %q: give each a ReaderConfig.Name of its own", name)
		}
		names[name] = true
	}
	m := &maker{meter: meter}
	i := readerInstruments{
		requests: m.counter("fulcrum.requests", "{request}", "Requests by outcome."),
		joined:   m.counter("fulcrum.requests.joined", "{request}", "Requests that found their key queued already."),
		queries:  m.counter("fulcrum.queries", "{query}", "Calls to the backend."),
		saved:    m.counter("fulcrum.queries.saved", "{query}", "Queries that were not needed, because requests shared them."),
		batches:  m.counter("fulcrum.batches", "{batch}", "Batches by the reason they left."),
		keys:     m.counter("fulcrum.batch.keys", "{key}", "Keys in all batches."),
		refused:  m.counter("fulcrum.requests.refused", "{request}", "Requests refused, by reason."),
		queued:   m.gauge("fulcrum.queued", "{key}", "Keys that wait for a batch."),
		inFlight: m.gauge("fulcrum.in_flight", "{request}", "Requests in a batch on its way."),
		queue:    m.seconds("fulcrum.queue.time", "From admission to leaving, by quantile."),
		response: m.seconds("fulcrum.response.time", "From admission to the answer, by quantile."),
		service:  m.seconds("fulcrum.service.time", "From a batch's leaving to its answer, by quantile."),
	}
	return m.register(func(_ context.Context, o metric.Observer) error {
		for _, s := range sources {
			i.observe(o, s.Stats())
		}
		return nil
	})
}

func (i *readerInstruments) observe(o metric.Observer, s fulcrum.Stats) {
	reader := attribute.String("reader", s.Name)
	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributes(append(more, reader)...)
	}
	for outcome, n := range map[string]uint64{"answered": s.Answered, "failed": s.Failed, "cancelled": s.Cancelled} {
		o.ObserveInt64(i.requests, int64(n), with(attribute.String("outcome", outcome)))
	}
	o.ObserveInt64(i.joined, int64(s.Joined), with())
	o.ObserveInt64(i.queries, int64(s.Queries), with())
	o.ObserveInt64(i.saved, int64(s.Saved), with())
	o.ObserveInt64(i.inFlight, int64(s.InFlight), with())
	for name, c := range s.Classes {
		class := attribute.String("class", name)
		o.ObserveInt64(i.queued, int64(c.QueuedKeys), with(class))
		o.ObserveInt64(i.keys, int64(c.BatchKeys), with(class))
		for reason, n := range c.Left {
			o.ObserveInt64(i.batches, int64(n), with(class, attribute.String("reason", reason)))
		}
		for reason, n := range c.Refused {
			o.ObserveInt64(i.refused, int64(n), with(class, attribute.String("reason", reason)))
		}
		for _, t := range []struct {
			gauge metric.Float64ObservableGauge
			of    fulcrum.Latency
		}{{i.queue, c.Queue}, {i.response, c.Response}, {i.service, c.Service}} {
			if t.of.Samples == 0 { // nobody asked: there is no such time
				continue
			}
			for text, q := range map[string]float64{"0.5": .5, "0.95": .95, "0.99": .99} {
				o.ObserveFloat64(t.gauge, t.of.Quantile(q).Seconds(), with(class, attribute.String("quantile", text)))
			}
		}
	}
}

// RegisterBackend has a meter tell of a Backend until the registration is ended.
func RegisterBackend(meter metric.Meter, b *fulcrum.Backend) (metric.Registration, error) {
	m := &maker{meter: meter}
	slots := m.gauge("fulcrum.backend.slots", "{batch}", "Batches that may be in flight, by kind: shared or reserved.")
	used := m.gauge("fulcrum.backend.slots.used", "{batch}", "Batches in flight, by kind.")
	mode := m.gauge("fulcrum.backend.mode", "1", "1 for the mode that holds.")
	circuit := m.gauge("fulcrum.backend.circuit", "1", "1 for the state of the circuit.")
	decisions := m.counter("fulcrum.backend.decisions", "{decision}", "Decisions of the tuner.")
	changes := m.counter("fulcrum.backend.changes", "{change}", "Changes of mode, circuit, shedding and slots.")
	return m.register(func(_ context.Context, o metric.Observer) error {
		s := b.Stats()
		backend := attribute.String("backend", s.Name)
		observe := func(i metric.Int64Observable, n int64, key, value string) {
			o.ObserveInt64(i, n, metric.WithAttributes(backend, attribute.String(key, value)))
		}
		observe(slots, int64(s.InFlight), "kind", "shared")
		observe(slots, int64(s.Reserved), "kind", "reserved")
		observe(used, int64(s.Shared), "kind", "shared")
		observe(used, int64(s.Urgent), "kind", "reserved")
		observe(mode, 1, "mode", s.Modes.Mode)
		observe(circuit, 1, "state", s.Modes.Circuit)
		for name, n := range s.Decisions {
			observe(decisions, int64(n), "decision", name)
		}
		for change, n := range s.Modes.Changes {
			observe(changes, int64(n), "change", change)
		}
		return nil
	})
}
