package tune

import "time"

const (
	sloSlack   = 0.5  // of the SLO: below, throughput may cost response time
	sloRoom    = 0.7  // of the SLO: below, the largest batch may grow back
	sloService = 0.5  // of the SLO: where batches themselves take longer, they are the cause
	sloShrink  = 0.8  // of the largest batch
	sloGrow    = 1.25 // of the largest batch
)

// wantsThroughput says that more keys per second count for more than shorter
// response times: while requests are shed, or well within an SLO.
func (t *auto) wantsThroughput(o *Observation, why *Why) bool {
	return why.Stress || t.cfg.P99 > 0 && o.P99 > 0 && o.P99 < part(t.cfg.P99, sloSlack)
}

// fit bounds the batch where the SLO is missed because batches themselves take too
// long. Where it is missed because requests queue, smaller batches would only make
// matters worse: there K does what can be done.
func (t *auto) fit(o *Observation, name Name, why *Why) Name {
	why.P99 = o.P99
	typical := time.Duration(why.M * t.line.at(why.Keys))
	switch {
	case o.P99 > t.cfg.P99 && typical > part(t.cfg.P99, sloService) && why.Keys > 1:
		t.maxBatch = max(1, int(sloShrink*min(why.Keys, float64(t.maxBatch))))
		return SmallerBatch
	case o.P99 > 0 && o.P99 < part(t.cfg.P99, sloRoom) && t.maxBatch < t.cfg.MaxBatch:
		t.maxBatch = min(t.cfg.MaxBatch, int(sloGrow*float64(t.maxBatch))+1)
		if name == Hold {
			return LargerBatch
		}
	}
	return name
}

func part(d time.Duration, of float64) time.Duration { return time.Duration(float64(d) * of) }
