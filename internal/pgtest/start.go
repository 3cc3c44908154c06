//go:build unix

package pgtest

import "testing"

// Start starts a server for a test and closes it when the test ends. It never
// skips: a machine without PostgreSQL fails the test and says what to do. If
// the test fails, the end of the server's log is part of the test's output.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	var cfg Config
	for _, opt := range opts {
		opt(&cfg)
	}
	s, err := Launch(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the end of PostgreSQL's log:\n%s", s.LogTail())
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}
