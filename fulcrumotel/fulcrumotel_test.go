package fulcrumotel_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/fulcrumotel"
)

// collected are all points as name{attributes} and value.
func collected(t *testing.T, r *sdk.ManualReader) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	points := map[string]float64{}
	add := func(name string, a attribute.Set, v float64) {
		points[name+"{"+a.Encoded(attribute.DefaultEncoder())+"}"] = v
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			default:
				t.Errorf("%s is a %T", m.Name, m.Data)
			}
		}
	}
	return points
}

func reader(t *testing.T, name string, b *fulcrum.Backend) *fulcrum.Reader[int, int] {
	t.Helper()
	r, err := fulcrum.NewReader(fulcrum.ReaderConfig[int, int]{
		Name: name, Backend: b,
		Fetch: fulcrum.FetchMap(func(_ context.Context, keys []int) (map[int]int, error) {
			found := map[int]int{}
			for _, k := range keys {
				if k == 13 {
					return nil, fmt.Errorf("bad luck")
				}
				found[k] = k
			}
			return found, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatIsTold(t *testing.T) {
	b, err := fulcrum.NewBackend(fulcrum.BackendConfig{Name: "db", Tuner: fulcrum.TunerFixed, InFlight: 3})
	if err != nil {
		t.Fatal(err)
	}
	users := reader(t, "users", b)
	manual := sdk.NewManualReader()
	meter := sdk.NewMeterProvider(sdk.WithReader(manual)).Meter("test")
	registered, err := fulcrumotel.Register(meter, users, reader(t, "orders", b))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fulcrumotel.RegisterBackend(meter, b); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		_, _ = users.Get(t.Context(), i, fulcrum.Bulk)
	}
	got := collected(t, manual)
	for point, want := range map[string]float64{
		"fulcrum.requests{outcome=answered,reader=users}":      19,
		"fulcrum.requests{outcome=failed,reader=users}":        1,
		"fulcrum.requests{outcome=answered,reader=orders}":     0,
		"fulcrum.queries{reader=users}":                        20,
		"fulcrum.batches{class=bulk,reader=users,reason=idle}": 20,
		"fulcrum.batch.keys{class=bulk,reader=users}":          20,
		"fulcrum.queued{class=normal,reader=users}":            0,
		"fulcrum.backend.slots{backend=db,kind=shared}":        3,
		"fulcrum.backend.mode{backend=db,mode=balanced}":       1,
		"fulcrum.backend.circuit{backend=db,state=closed}":     1,
	} {
		if v, there := got[point]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", point, v, there, want)
		}
	}
	if v := got["fulcrum.response.time{class=bulk,quantile=0.99,reader=users}"]; v <= 0 || v > 1 {
		t.Errorf("p99 %v s", v)
	}
	if _, there := got["fulcrum.response.time{class=normal,quantile=0.99,reader=users}"]; there {
		t.Error("a time of requests that nobody made")
	}
	if err := registered.Unregister(); err != nil {
		t.Fatal(err)
	}
	for point := range collected(t, manual) {
		if strings.Contains(point, "reader=") {
			t.Errorf("still told: %s", point)
		}
	}
}

func TestNamesMustDiffer(t *testing.T) {
	meter := sdk.NewMeterProvider().Meter("test")
	if _, err := fulcrumotel.Register(meter, reader(t, "a", nil), reader(t, "a", nil)); err == nil || !strings.Contains(err.Error(), `two readers are called "a"`) {
		t.Errorf("%v", err)
	}
}
