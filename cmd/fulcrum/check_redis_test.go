//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/redistest"
)

// A Redis is looked for, and it is no error that there is none.
func TestCheckTellsOfRedis(t *testing.T) {
	r := redistest.Start(t)
	dir := shop(t)
	file := write(t, dir, "store: sqlite:DIR/shop.db\ncache: {entries: 20000, redis: \""+r.URL()+"\"}\nresources:\n  users: {table: users, key: id, columns: [id]}\n")
	for _, want := range []string{"redis answers\n", "redis does not answer, and without it nothing is kept: "} {
		code, stdout, stderr := try(t.Context(), "check", "-c", file)
		if text := regexp.MustCompile(" +").ReplaceAllString(stdout, " "); code != 0 || !strings.Contains(text, want) || !strings.Contains(text, "for 1m0s, and in Redis\n") {
			t.Errorf("code %d\n%s%s\nwant %s", code, stdout, stderr, want)
		}
		if want == "redis answers\n" {
			r.Kill()
		}
	}
}
