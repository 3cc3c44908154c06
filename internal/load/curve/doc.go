// Package curve finds the limits on a latency-throughput curve: which loads to
// measure next ([Search]), and what the measured ones say ([Analyse]).
//
// # The four answers
//
//   - The SLO rate is the largest load whose p99 meets its limit even at the upper
//     end of its confidence.
//   - The power point is the load at which throughput/response is largest: beyond
//     it, each further request costs the others more than it gains.
//   - The knee is where response begins to rise steeply for the little throughput
//     that is left: the point of the curve farthest from the line between its ends,
//     its far end being 99 % of the fitted capacity. (If the end were the last
//     load that was measured, the knee would say how far one swept.)
//   - The Universal Scalability Law tells why throughput stops growing: α is
//     waiting for each other, β is talking to each other.
//
// None has a clock or a target: steps are passed in, decisions come out.
package curve
