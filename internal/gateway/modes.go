package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/fulcrum-data/fulcrum"
)

// modeJSON is the answer of /api/v1/mode. Times are in seconds.
type modeJSON struct {
	Mode    string            `json:"mode"`
	Circuit string            `json:"circuit"`
	Shed    string            `json:"shed"`
	Cause   string            `json:"cause"`
	Reason  string            `json:"reason"`
	Since   float64           `json:"for_seconds"`                        // how long the mode has held
	Until   float64           `json:"override_ends_in_seconds,omitempty"` // 0: nobody has set it by hand
	RetryIn float64           `json:"retry_in_seconds,omitempty"`         // until the open circuit lets a probe through
	Changes map[string]uint64 `json:"changes_total"`
}

// modeOf puts a backend's modes as they are told; up is how long it has been there.
func modeOf(s fulcrum.ModeStats, up time.Duration) modeJSON {
	m := modeJSON{
		Mode: s.Mode, Circuit: s.Circuit, Shed: s.Shed, Cause: s.Cause, Reason: s.Reason,
		Since: max(0, up-s.Since).Seconds(), RetryIn: s.RetryIn.Seconds(), Changes: s.Changes,
	}
	if s.Until > 0 {
		m.Until = max(0, s.Until-up).Seconds()
	}
	return m
}

// overrideJSON is what somebody who sets the mode by hand sends.
type overrideJSON struct {
	Mode *string `json:"mode"`
	For  *string `json:"for"`
}

var modeNames = map[string]fulcrum.Mode{
	"balanced": fulcrum.ModeBalanced, "latency": fulcrum.ModeLatency, "throughput": fulcrum.ModeThroughput,
}

// modePage answers /api/v1/mode: GET says what holds, PUT sets it for a while, DELETE
// takes that back.
func (g *Gateway) modePage() http.Handler {
	return g.admins(func(x *exchange) {
		if !x.allow(http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete) {
			return
		}
		x.w.Header()["Cache-Control"] = noStore
		if acts := x.r.Method == http.MethodPut || x.r.Method == http.MethodDelete; acts && !x.mayAct() {
			return
		}
		switch x.r.Method {
		case http.MethodPut:
			if p := x.override(); p.kind != nil {
				x.fail(p)
				return
			}
		case http.MethodDelete:
			g.backend.ClearOverride()
		}
		x.json(modeOf(g.backend.Stats().Modes, time.Since(g.started)))
	})
}

// override reads {"mode":"latency","for":"10m"}.
func (x *exchange) override() problem {
	x.timeout = bodyTime
	if kind := x.r.Header.Get("Content-Type"); kind != "application/json" { // no form of a strange page can send that
		return badHeader.because("Content-Type: want application/json")
	}
	body, p := x.readBody()
	if p.kind != nil {
		return p
	}
	var o overrideJSON
	if err := strict(body, &o); err != nil {
		return badJSON.because(`%v: want {"mode":"latency","for":"10m"}`, err)
	}
	if o.Mode == nil || o.For == nil {
		return badJSON.because(`want both fields: {"mode":"latency","for":"10m"}`)
	}
	m, known := modeNames[*o.Mode]
	if !known {
		return badJSON.because("mode %q: want latency, throughput or balanced", shorten(*o.Mode))
	}
	lasting, err := time.ParseDuration(*o.For)
	if err != nil {
		return badJSON.because("for %q: want a duration such as 10m", shorten(*o.For))
	}
	if err := x.g.backend.Override(m, lasting); err != nil {
		return badJSON.because("for %s: want more than 0 and at most 24h", lasting)
	}
	return problem{}
}

// strict reads JSON that has only the fields of v.
func strict(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return jsonError(err, "an object of those fields")
	}
	if d.More() {
		return errors.New("there is more than one value")
	}
	return nil
}
