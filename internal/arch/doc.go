// Package arch holds the rules that keep this codebase readable, as tests: who
// may import whom, what must be documented, how long a file or a function may
// become, and where the documentation's links lead.
//
// A rule is a pure function from what was read to a list of violations. Each is
// tested twice: on planted violations, so that it is known to see them, and on
// the repository itself.
package arch
