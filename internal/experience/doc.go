// Package experience says what people feel, and what waiting does to what they do. It
// is pure: visits go in, figures with their uncertainty come out.
//
//	report, err := experience.Analyse(visits, experience.Config{Started: 12000})
//
// # Speed
//
// Web vitals are judged at their 75th percentile, as browsers' vendors do, against
// the thresholds that they publish. [Apdex] counts who waited at most a target, and by
// half who waited at most four times that.
//
// # What it does
//
// Visits are put in buckets by what they waited. Each bucket's share of conversions, or
// of satisfied people, has a Wilson interval, which holds for small counts and for
// shares near 0 and 1, where the textbook interval does not. Whether the shares rise or
// fall with waiting is what the Cochran-Armitage test asks:
//
//	    Σ tᵢ(hᵢ − nᵢp)
//	z = ─────────────────────────────        p = Σh/N, t̄ = Σnᵢtᵢ/N
//	    √(p(1−p) · Σ nᵢ(tᵢ − t̄)²)
//
// How much they do is the slope of a logistic regression on every visit, not on the
// buckets: logit P(converted) = α + β·seconds. [Fit.Cost] turns it into a sentence:
// "100 ms cost 1.1 % [0.6, 1.6] of the conversions".
//
// # What it does not say
//
// All of this is association. People on slow networks differ from others in more than
// their network; only an experiment tells what a faster answer would change.
//
// Who left before anything could be sent is missing, and those waited longest.
// [Survivors] counts them with what the server saw begin, and says how far the share
// of conversions can be off.
package experience
