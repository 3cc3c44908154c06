// Package load is the instrument: it offers a load to a target and says what came
// of it, or why it cannot say.
//
// # Open loop
//
// Due times are fixed first and do not depend on what the target does, as people
// and other services do not wait for each other. For each request
//
//	due          sent                    end
//	 |--- lag ----|------- service -------|
//	 |-------------- response ------------|
//
// are kept in histograms of their own. Only the response counts what a late
// sending or a stalled target does to those who come after: a target that stands
// still for 1 s in 10 s answers one request of that second slowly if one measures
// from sending with one connection, and a tenth of all if one measures from due.
//
// # What cannot flatter
//
// Every request that was due is accounted for (Step.Due = Good + Failed +
// Censored). One that had no answer at the end of a bounded drain is censored: it
// counts with the time it has taken so far, which is a lower bound. A step whose
// numbers would not be those of the target says so instead ([Step.Verdict]): too
// little was sent, the generator itself was late, censored or failed requests
// reach into the quantile.
//
// # Closed loop
//
// A fixed number of callers, each of which sends as soon as it has its answer.
// That measures how much the target can do, not how long people wait: when the
// target stalls, so does the load. Steps are labelled accordingly.
//
// # Folders
//
// target holds what can be measured: an HTTP service, or a database through one
// of several strategies. curve finds the limits: SLO rate, power point, knee and
// the Universal Scalability Law. report draws plots, and writes a page and HdrHistogram
// logs.
package load
