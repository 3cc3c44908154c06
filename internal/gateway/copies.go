package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// copied is the database as one that has several copies; false: it has but one.
func (c Config) copied() (store.Copied, bool) {
	db, ok := c.DB.(store.Copied)
	return db, ok && len(db.Copies()) > 0
}

// recopy has the backend know the copies that the database has now. A gateway that had none
// at its start asks one database until it is started again.
func (g *Gateway) recopy() error {
	db, ok := g.cfg.DB.(store.Copied)
	if !ok || !g.Copied() {
		return nil
	}
	all := db.Copies()
	if len(all) == 0 {
		all = []fulcrum.Copy{{Name: g.backend.Copies().Copies[0].Name, Primary: true}}
	}
	return g.backend.SetCopies(all)
}

// Copied says whether the gateway was started with a database that has replicas.
func (g *Gateway) Copied() bool { return len(g.backend.Copies().Copies) > 0 }

// cookieName is where browsers keep the token of their last change, if the configuration
// says so: they read their own writes without a script that does it.
const cookieName = "fulcrum_after"

// cookieAge is long enough for any replica that is asked at all.
const cookieAge = time.Hour

// setCookie has a browser keep a token.
func (x *exchange) setCookie(t fulcrum.Token) {
	http.SetCookie(x.w, &http.Cookie{
		Name: cookieName, Value: string(t), Path: prefix, MaxAge: int(cookieAge / time.Second), HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: x.r.TLS != nil || x.r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

// tokens are those that a request must come behind: of its headers, and of its cookie. A
// cookie of another database is none: its browser cannot help it.
func (x *exchange) tokens() []string {
	all := x.r.Header["Fulcrum-After"]
	if !x.g.cfg.Cookie || len(x.r.Header["Cookie"]) == 0 {
		return all
	}
	c, err := x.r.Cookie(cookieName)
	if err != nil || c.Value == "" {
		return all
	}
	if db, ok := x.g.cfg.DB.(store.Copied); ok && db.Vet(x.r.Context(), fulcrum.Token(c.Value)) != nil {
		return all
	}
	return append(all[:len(all):len(all)], c.Value)
}

// journalPrefix is how tokens of journals begin. A replica cannot know them.
const journalPrefix = "journal:"

// behind says what a request asks of who reads, so that it comes behind tokens.
func behind(tokens []string) (o fulcrum.Option) {
	all := make([]fulcrum.Token, 0, len(tokens))
	for _, t := range tokens {
		if strings.HasPrefix(t, journalPrefix) { // what it stands for is committed by now, on the primary
			return fulcrum.Fresh
		}
		all = append(all, fulcrum.Token(t))
	}
	return fulcrum.After(all...)
}

// replicaServes says whether a replica has answered lately.
func (g *Gateway) replicaServes() bool {
	for _, c := range g.backend.Copies().Copies {
		if !c.Primary && c.Ejected == 0 && c.LagKnown && c.LagAge < pingTime {
			return true
		}
	}
	return false
}

// copiesJSON is how the copies of the database are used.
type copiesJSON struct {
	Copies []copyJSON `json:"copies"`
	Hedges uint64     `json:"hedges_total"`
	Won    uint64     `json:"hedges_won_total"`
}

type copyJSON struct {
	Name     string   `json:"name"`
	Region   string   `json:"region,omitempty"`
	Primary  bool     `json:"primary"`
	State    string   `json:"state"` // ok, lagging or ejected
	InFlight int      `json:"in_flight"`
	Limit    int      `json:"in_flight_limit"` // its K
	Calls    uint64   `json:"calls_total"`
	Failures uint64   `json:"failures_total"`
	Behind   uint64   `json:"behind_total"`          // calls that had to go elsewhere, because it had not seen a write
	Cost     float64  `json:"cost"`                  // what its calls take to what is expected; 0: not measured
	Lag      *float64 `json:"lag_seconds,omitempty"` // missing: not known
	LagBytes *int64   `json:"lag_bytes,omitempty"`
}

func copiesOf(s fulcrum.CopiesStats) *copiesJSON {
	if len(s.Copies) == 0 {
		return nil
	}
	j := &copiesJSON{Hedges: s.Hedges.Sent, Won: s.Hedges.Won}
	for _, c := range s.Copies {
		one := copyJSON{
			Name: c.Name, Region: c.Region, Primary: c.Primary, State: copyState(c), InFlight: c.Out, Limit: c.InFlight,
			Calls: c.Calls, Failures: c.Failures, Behind: c.Behind, Cost: c.Cost,
		}
		if c.LagKnown && !c.Primary {
			lag := (c.Lag.Time + c.LagAge).Seconds()
			one.Lag = &lag
			if bytes := c.Lag.Bytes; bytes >= 0 {
				one.LagBytes = &bytes
			}
		}
		j.Copies = append(j.Copies, one)
	}
	return j
}

// copyStates are the states of a copy.
var copyStates = []string{"ok", "lagging", "ejected"}

func copyState(c fulcrum.CopyStats) string {
	switch {
	case c.Ejected > 0:
		return copyStates[2]
	case c.Lags:
		return copyStates[1]
	}
	return copyStates[0]
}

var (
	copyCallsDesc    = describe("copy_calls_total", "Queries sent to a copy of the database.", "copy")
	copyFailuresDesc = describe("copy_failures_total", "Queries that a copy failed, or took far too long for.", "copy")
	copyBehindDesc   = describe("copy_behind_total", "Queries that went elsewhere, since the copy had not seen a write.", "copy")
	copyLagDesc      = describe("copy_lag_seconds", "How old a replica's newest data is at most.", "copy")
	copyStateDesc    = describe("copy_state", "1 for the state that a copy is in.", "copy", "state")
	hedgesDesc       = describe("hedges_total", "Queries sent once more because they were slow.")
	hedgesWonDesc    = describe("hedges_won_total", "Of these, those that were answered first.")
)

func (s sink) copies(all *copiesJSON) {
	if all == nil {
		return
	}
	s.count(hedgesDesc, all.Hedges)
	s.count(hedgesWonDesc, all.Won)
	for _, c := range all.Copies {
		s.count(copyCallsDesc, c.Calls, c.Name)
		s.count(copyFailuresDesc, c.Failures, c.Name)
		s.count(copyBehindDesc, c.Behind, c.Name)
		if c.Lag != nil {
			s.gauge(copyLagDesc, *c.Lag, c.Name)
		}
		for _, state := range copyStates {
			s.gauge(copyStateDesc, oneIf(state == c.State), c.Name, state)
		}
	}
}
