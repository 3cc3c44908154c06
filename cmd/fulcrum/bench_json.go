package main

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

// benchJSON is what a benchmark found. Figures that are not known are null.
type benchJSON struct {
	Steps []stepJSON `json:"steps"`
	curveJSON
	Curves []namedCurve `json:"curves,omitempty"` // of each strategy, if there are several
}

// curveJSON has rates in keys per second.
type curveJSON struct {
	SLO        string   `json:"slo,omitempty"`
	SLORate    *float64 `json:"slo_rps"`
	SLOReason  string   `json:"slo_reason,omitempty"` // why no larger load keeps it
	PowerRate  *float64 `json:"power_point_rps"`
	KneeRate   *float64 `json:"knee_rps"`
	KneeReason string   `json:"knee_reason,omitempty"` // why there is none
	USL        *uslJSON `json:"usl"`
	USLReason  string   `json:"usl_reason,omitempty"` // why there is none
}

type namedCurve struct {
	Strategy string `json:"strategy"`
	curveJSON
}

// uslJSON has intervals of 95 % confidence; a coefficient held at 0 has none. NMax
// and Capacity are null if the throughput grows for ever.
type uslJSON struct {
	Gamma         float64     `json:"gamma"`
	Alpha         float64     `json:"alpha"`
	Beta          float64     `json:"beta"`
	NMax          *float64    `json:"n_max"`
	Capacity      *float64    `json:"capacity_rps"`
	GammaInterval *[2]float64 `json:"gamma_interval"`
	AlphaInterval *[2]float64 `json:"alpha_interval"`
	BetaInterval  *[2]float64 `json:"beta_interval"`
}

// stepJSON is a step. An invalid one has no figures of what was measured.
type stepJSON struct {
	Strategy   string   `json:"strategy"`
	Loop       string   `json:"loop"` // open or closed
	Callers    int      `json:"callers,omitempty"`
	Offered    *float64 `json:"offered_rps"` // null of a closed loop
	Sent       float64  `json:"sent_rps"`
	Throughput *float64 `json:"throughput_rps"`
	Requests   uint64   `json:"requests"` // keys that were due
	Errors     uint64   `json:"errors"`
	Censored   uint64   `json:"censored"` // without an answer
	Valid      bool     `json:"valid"`
	Reason     *string  `json:"invalid_reason"`
	SLOKept    *bool    `json:"slo_kept,omitempty"`
	SLOReason  string   `json:"slo_reason,omitempty"`

	Queries     *float64 `json:"queries_per_second"`
	RowsPer     *float64 `json:"rows_per_query"`
	DatabaseCPU *float64 `json:"database_cpu_seconds_per_row"`
	OwnCPU      *float64 `json:"own_cpu_seconds_per_row"`

	Response  *timesJSON `json:"response_seconds"`
	Service   *timesJSON `json:"service_seconds"`
	FirstByte *timesJSON `json:"first_byte_seconds,omitempty"`
	Lag       *timesJSON `json:"lag_seconds"`
}

// timesJSON has times in seconds. Unsure names the quantiles with fewer than ten
// samples beyond them.
type timesJSON struct {
	Samples uint64   `json:"samples"`
	Mean    *float64 `json:"mean"`
	P50     *float64 `json:"p50"`
	P95     *float64 `json:"p95"`
	P99     *float64 `json:"p99"`
	Max     *float64 `json:"max"`
	Unsure  []string `json:"unsure"`
}

func (b *bench) printJSON(out io.Writer) error {
	all := benchJSON{Steps: []stepJSON{}}
	for _, c := range b.contenders {
		for _, m := range c.steps {
			all.Steps = append(all.Steps, b.stepJSON(m))
		}
		if c.result == nil {
			continue
		}
		found := curveOf(*c.result)
		if len(b.contenders) == 1 {
			all.curveJSON = found
		} else {
			all.Curves = append(all.Curves, namedCurve{c.name, found})
		}
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(all)
}

func (b *bench) stepJSON(m *measured) stepJSON {
	s := stepJSON{
		Strategy: m.strategy, Loop: "open", Callers: m.Callers, Sent: m.SentRate(),
		Requests: m.Due, Errors: m.Failed, Censored: m.Censored, Valid: true,
	}
	if m.Callers > 0 {
		s.Loop = "closed"
	} else {
		s.Offered = number(m.Offered())
	}
	if b.slo != (curve.SLO{}) {
		kept := m.breach == ""
		s.SLOKept, s.SLOReason = &kept, m.breach
	}
	if v := m.Verdict(); v != "" {
		s.Valid, s.Reason = false, &v
		return s
	}
	s.Throughput = number(m.Throughput())
	s.OwnCPU = seconds(m.ownCPU())
	s.Response, s.Service, s.Lag = m.responseJSON(), timesOfAll(m.Service, m.Censored), timesOfAll(m.Lag, 0)
	if m.FirstByte.Count() > 0 {
		s.FirstByte = timesOfAll(m.FirstByte, m.Censored)
	}
	if m.asked {
		s.Queries, s.RowsPer = number(m.queriesPerSecond()), number(ratio(m.used.Rows, m.used.Queries))
		s.DatabaseCPU = seconds(m.databaseCPU())
	}
	return s
}

// responseJSON takes the censored into account, where that decides a quantile.
func (m *measured) responseJSON() *timesJSON {
	t := timesOfAll(m.Response, m.Censored)
	for i, into := range []**float64{&t.P50, &t.P95, &t.P99} {
		d, known := m.Quantile(reportedQuantiles[i].q)
		if *into = nil; known {
			*into = seconds(d)
		}
	}
	return t
}

// timesOfAll describes what answered requests took. Neither mean nor maximum is
// known if some were not answered.
func timesOfAll(h hist.Snapshot, censored uint64) *timesJSON {
	if h.Count() == 0 {
		return nil
	}
	sum := timesOf(h)
	t := &timesJSON{Samples: h.Count(), Unsure: sum.Unsure, P50: &sum.P50, P95: &sum.P95, P99: &sum.P99}
	if censored == 0 {
		t.Mean, t.Max = seconds(h.Mean()), seconds(h.Max())
	}
	return t
}

func curveOf(r curve.Result) curveJSON {
	c := curveJSON{
		SLO: r.SLO.String(), SLORate: known(r.SLORate), SLOReason: r.SLOLimit,
		PowerRate: known(r.PowerRate), KneeRate: known(r.KneeRate), KneeReason: r.NoKnee, USLReason: r.NoUSL,
	}
	if u := r.USL; u != nil {
		c.USL = &uslJSON{
			Gamma: u.Gamma.Value, Alpha: u.Alpha.Value, Beta: u.Beta.Value, NMax: number(u.Peak()), Capacity: number(r.Capacity),
			GammaInterval: interval(u.Gamma), AlphaInterval: interval(u.Alpha), BetaInterval: interval(u.Beta),
		}
	}
	return c
}

// known is nil for a rate of 0, which none is.
func known(rate float64) *float64 {
	if rate == 0 {
		return nil
	}
	return &rate
}

// number is nil for what JSON cannot hold.
func number(f float64) *float64 {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil
	}
	return &f
}

// seconds is nil for a negative duration, which stands for an unknown one.
func seconds(d time.Duration) *float64 {
	if d < 0 {
		return nil
	}
	s := d.Seconds()
	return &s
}

func interval(e curve.Estimate) *[2]float64 {
	if e.Held {
		return nil
	}
	return &[2]float64{e.Low, e.High}
}
