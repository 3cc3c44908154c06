package gateway

import (
	"fmt"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/internal/experience"
	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// costStep is how much longer a wait the cost is told of.
const costStep = 100 * time.Millisecond

// Experience is the answer of /api/v1/experience. Times are in seconds; all that
// depends on visits is left out while there are none.
type Experience struct {
	Beacons      beacon.Counts      `json:"beacons"`
	Lost         uint64             `json:"lost_total"` // beacons that could not be kept in the database
	All          *ExperiencePart    `json:"all,omitempty"`
	Parts        []ExperiencePart   `json:"parts,omitempty"`
	Buckets      []ExperienceBucket `json:"buckets,omitempty"`
	Conversions  *ExperienceEffect  `json:"conversions,omitempty"`
	Satisfaction *ExperienceEffect  `json:"satisfaction,omitempty"`
	Missing      *ExperienceBounds  `json:"missing,omitempty"`
	Bearable     *ExperienceLimit   `json:"bearable,omitempty"` // left out if nobody is seen to turn away
}

// ExperienceLimit is the wait beyond which fewer convert, or are satisfied.
type ExperienceLimit struct {
	Page   float64         `json:"page_seconds"`
	Answer float64         `json:"answer_seconds,omitempty"` // of a page's slowest answer; left out where the rest alone takes as long
	What   string          `json:"of"`                       // conversions or satisfaction
	Fewer  ExperienceShare `json:"beyond"`
	Most   ExperienceShare `json:"of_those_who_wait_least"`
}

// ExperiencePart is how fast it is for some of the people, or for all.
type ExperiencePart struct {
	Dimension string                     `json:"dimension,omitempty"`
	Value     string                     `json:"value,omitempty"`
	Visits    int                        `json:"visits"`
	Apdex     float64                    `json:"apdex"`
	Vitals    map[string]ExperienceVital `json:"vitals"`
}

// ExperienceVital is a web vital at its 75th percentile, in seconds but for CLS.
type ExperienceVital struct {
	P75     float64 `json:"p75"`
	Rating  string  `json:"rating"`
	Samples int     `json:"samples"`
}

// ExperienceShare is a share with its 95 % interval. It has no value where nobody was asked.
type ExperienceShare struct {
	Hits  int     `json:"hits"`
	Of    int     `json:"of"`
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// ExperienceBucket is what people did who waited so long.
type ExperienceBucket struct {
	From         float64         `json:"from_seconds"`
	To           float64         `json:"to_seconds"`
	Conversions  ExperienceShare `json:"conversions"`
	Satisfaction ExperienceShare `json:"satisfaction"`
}

// ExperienceEffect is an association, not a cause.
type ExperienceEffect struct {
	Share  ExperienceShare `json:"share"`
	Trend  float64         `json:"trend_z"`
	P      float64         `json:"trend_p"`
	Cost   string          `json:"cost,omitempty"`
	NoCost string          `json:"no_cost_because,omitempty"`
}

// ExperienceBounds says how far those who told nothing could move the conversions.
type ExperienceBounds struct {
	Visits int     `json:"visits"`
	Low    float64 `json:"conversions_low"`
	High   float64 `json:"conversions_high"`
}

// Felt is what an analysis of the usage needs to know of it; nil if there is nothing.
func (e *Experience) Felt() *usage.Felt {
	b := e.Bearable
	if b == nil || b.Answer <= 0 {
		return nil
	}
	return &usage.Felt{Answer: b.Answer, Evidence: fmt.Sprintf("pages that take over %.3g s have %.3g %% [%.3g, %.3g] %s instead of %.3g %%; their slowest answer may take %.3g s",
		b.Page, 100*b.Fewer.Value, 100*b.Fewer.Low, 100*b.Fewer.High, b.What, 100*b.Most.Value, b.Answer)}
}

// experiencePage says what people feel, as far as they told.
func experiencePage(x *exchange) {
	if x.g.people == nil {
		x.fail(unknownPath.because("what people feel is not asked: the configuration does not say so"))
		return
	}
	x.json(x.g.felt())
}

func (g *Gateway) felt() *Experience {
	e := &Experience{Beacons: g.people.Counts()}
	if g.visits != nil {
		e.Lost = g.visits.lost.Load()
	}
	if r, err := g.people.Report(); err == nil { // or there are no visits yet
		e.fill(r)
	}
	return e
}

func (e *Experience) fill(r *experience.Report) {
	all := partOf(r.All)
	e.All, e.Missing = &all, &ExperienceBounds{r.Survivors.Missing, r.Survivors.Low, r.Survivors.High}
	for _, p := range r.Parts {
		e.Parts = append(e.Parts, partOf(p))
	}
	for _, b := range r.Buckets {
		e.Buckets = append(e.Buckets, ExperienceBucket{b.Low.Seconds(), b.High.Seconds(), shareOf(b.Conversions), shareOf(b.Satisfaction)})
	}
	if b := r.Bearable; b != nil {
		e.Bearable = &ExperienceLimit{b.Page.Seconds(), b.Answer.Seconds(), b.What, shareOf(b.Fewer), shareOf(b.Most)}
	}
	e.Conversions, e.Satisfaction = effectOf(r.Conversions), effectOf(r.Satisfaction)
}

func partOf(p experience.Part) ExperiencePart {
	j := ExperiencePart{Dimension: p.Dimension, Value: p.Value, Visits: p.Visits, Apdex: p.Apdex, Vitals: make(map[string]ExperienceVital)}
	for v, s := range p.Vitals {
		if s.Samples > 0 {
			j.Vitals[experience.Vital(v).String()] = ExperienceVital{s.P75, s.Rating.String(), s.Samples}
		}
	}
	return j
}

func shareOf(s experience.Share) ExperienceShare {
	j := ExperienceShare{Hits: s.Hits, Of: s.N, Low: s.Interval.Low, High: s.Interval.High}
	if s.N > 0 {
		j.Value = s.Value
	}
	return j
}

func effectOf(e experience.Effect) *ExperienceEffect {
	j := &ExperienceEffect{Share: shareOf(e.Share), Trend: e.Trend.Z, P: e.Trend.P}
	if e.Err != nil {
		j.NoCost = e.Err.Error()
		return j
	}
	j.Cost = e.Fit.Cost(costStep).String()
	return j
}
