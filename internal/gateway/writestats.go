package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// writesJSON is how a resource is written: its batches are commits, its keys changes.
type writesJSON struct {
	resourceJSON
	Accepted  int    `json:"accepted"`       // changes that are not made yet
	Bytes     int    `json:"accepted_bytes"` // of these
	Ambiguous uint64 `json:"ambiguous"`      // callers who were told that nobody knows
	Resolved  uint64 `json:"resolved"`       // commits whose lost answer was found out
	Lost      uint64 `json:"lost"`           // acknowledged from memory, and not made
	Journaled int64  `json:"journaled"`      // in the journal, and not applied yet
	Applied   uint64 `json:"applied"`        // from the journal
	Dead      uint64 `json:"dead_letters"`   // of the journal's, those that could not be made
	Trouble   string `json:"journal_trouble,omitempty"`
}

// stats are those of all Writers; nil if nothing can be written.
func (c *commits) stats(up time.Duration) (backend *backendJSON, writes map[string]writesJSON) {
	if c.backend == nil {
		return nil, nil
	}
	b := backendOf(c.backend.Stats(), up)
	writes = make(map[string]writesJSON, len(c.writers))
	for name, w := range c.writers {
		s := w.Stats()
		one := writesJSON{
			resourceJSON: resourceOf(s.Stats), Accepted: s.Accepted, Bytes: s.Bytes, Ambiguous: s.Ambiguous, Resolved: s.Resolved, Lost: s.Lost,
			Journaled: s.Journaled, Applied: s.Applied, Dead: s.Dead,
		}
		if s.Trouble != nil {
			one.Trouble = s.Trouble.Error()
		}
		writes[name] = one
	}
	return &b, writes
}

// The metrics of changes.
var (
	changesMadeDesc   = describe("writes_total", "Changes by what became of them.", "resource", "result")
	commitsDesc       = describe("commits_total", "Commits that changes were made in.", "resource")
	acceptedDesc      = describe("accepted_writes", "Changes that are not made yet.", "resource")
	journaledDesc     = describe("journaled_writes", "Changes in the journal that are not made yet.", "resource")
	acceptedBytesDesc = describe("accepted_writes_bytes", "Their bytes.", "resource")
	commitTimeDesc    = describe("commit_seconds", "Time of a commit.", "resource", "class")
	writeTimeDesc     = describe("write_seconds", "Time from a change's admission to its answer.", "resource", "class")
)

var writeDescs = []*prometheus.Desc{changesMadeDesc, commitsDesc, acceptedDesc, acceptedBytesDesc, journaledDesc, commitTimeDesc, writeTimeDesc}

// collect tells the Writers' metrics.
func (c *commits) collect(out chan<- prometheus.Metric) {
	for name, w := range c.writers {
		stats := w.Stats()
		s := sink{out, []string{name}}
		for result, n := range map[string]uint64{
			"made": stats.Answered, "failed": stats.Failed, "applied": stats.Applied, "dead": stats.Dead, "cancelled": stats.Cancelled, "ambiguous": stats.Ambiguous, "lost": stats.Lost,
		} {
			s.count(changesMadeDesc, n, result)
		}
		s.count(commitsDesc, stats.Batches)
		s.gauge(acceptedDesc, float64(stats.Accepted))
		s.gauge(acceptedBytesDesc, float64(stats.Bytes))
		s.gauge(journaledDesc, float64(stats.Journaled))
		for class, cs := range stats.Classes {
			s.histogram(commitTimeDesc, cs.Service, class)
			s.histogram(writeTimeDesc, cs.Response, class)
		}
	}
}
