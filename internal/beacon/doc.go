// Package beacon hears what browsers tell of what people feel. It serves the script,
// /fulcrum.js, takes what that sends to /v1/experience, and keeps the last visits in
// memory for internal/experience to analyse.
//
// Everybody on the internet can send here. So a beacon is refused, and counted by
// reason, unless all of these hold: its Origin is the same host or listed; it comes
// within the rate; it is short; each field is known and within bounds; and its id was
// not seen before. What is kept is bounded too: the oldest visit makes room.
//
// A beacon holds no personal data by itself: no address, no query, nothing typed. What
// a page puts in data-page, data-region and the name of a conversion is up to the page.
package beacon
