package fulcrum

import "maps"

// Merge is what two Readers have done together, as if they were one: counts are added,
// quantiles are those of all durations. Name, Policy and Model are those of s.
func (s Stats) Merge(o Stats) Stats {
	s.Admitted += o.Admitted
	s.Answered += o.Answered
	s.Failed += o.Failed
	s.Cancelled += o.Cancelled
	s.Queued += o.Queued
	s.InFlight += o.InFlight
	s.Joined += o.Joined
	s.Batches += o.Batches
	s.Keys += o.Keys
	s.Queries += o.Queries
	s.Saved += o.Saved
	s.Classes = maps.Clone(s.Classes)
	for class, c := range o.Classes {
		s.Classes[class] = s.Classes[class].merge(c)
	}
	return s
}

func (c ClassStats) merge(o ClassStats) ClassStats {
	c.QueuedKeys += o.QueuedKeys
	c.InFlightBatches += o.InFlightBatches
	c.Left, c.Refused = added(c.Left, o.Left), added(c.Refused, o.Refused)
	c.BatchKeys += o.BatchKeys
	c.FailedBatches += o.FailedBatches
	sizes := make([]uint64, max(len(c.Sizes), len(o.Sizes)))
	copy(sizes, c.Sizes)
	for i, n := range o.Sizes {
		sizes[i] += n
	}
	c.Sizes = sizes
	c.Queue, c.Response, c.Service = c.Queue.merge(o.Queue), c.Response.merge(o.Response), c.Service.merge(o.Service)
	return c
}

func added(a, b map[string]uint64) map[string]uint64 {
	sum := make(map[string]uint64, len(a))
	maps.Copy(sum, a)
	for name, n := range b {
		sum[name] += n
	}
	return sum
}

func (l Latency) merge(o Latency) Latency {
	return latencyOf(l.recent.Merge(o.recent), l.total.Merge(o.total))
}
