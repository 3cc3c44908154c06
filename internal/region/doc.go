// Package region tells from a request whose region's policy it gets.
//
// The first source that names a region with a policy of its own wins:
//
//  1. the header Fulcrum-Region, from anybody: a region is advice, it opens no door
//  2. a CDN's header, from trusted proxies only: CF-IPCountry, CloudFront-Viewer-Country
//     (with CloudFront-Viewer-Country-Region), Fly-Region
//  3. the client's address in a MaxMind database. Behind trusted proxies the client is
//     the rightmost address of X-Forwarded-For that is no trusted proxy: what stands to
//     its left, the client may have made up
//  4. the region "default"
//
// A region decides how a request is batched, never what it may see. So what is wrong
// is passed over and explained, never refused: a region that nobody knows, a country
// that no region serves, a header that is there twice. A live reload may take a region
// away without a failed request.
//
// # Areas
//
// A region serves areas: a subdivision (US-CA) goes before its country (US), that
// before its continent (north-america). The regions us-east, us-west, europe and asia
// have areas by default (areas.go). Countries belong to continents as in the
// GeoNames table that MaxMind's databases use too (countries.go).
//
// A [Table] is made once and never changes. Looking a request up takes no memory.
package region
