package gateway

import (
	"context"
	"fmt"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// What followers are told of a commit, seen by one who came before it and by one who came
// while it was made and has read the row as it was. An event that is nil has them read
// it again.
func TestFollowersOfACommit(t *testing.T) {
	put := store.Change{Op: store.Put, Key: "7"}
	row := store.Written{Key: "7", Row: []byte(`{"id":7}`)}
	told := `[{"op":"put","key":"7","row":{"id":7}}]`
	for _, test := range []struct {
		name          string
		change        store.Change
		apply         func(c *fulcrum.Commit[store.Change, store.Written]) error
		before, while string
	}{
		{"made", put, func(c *fulcrum.Commit[store.Change, store.Written]) error { c.Set(0, row); return nil }, told, "[]"},
		{"made from a journal before", put, func(*fulcrum.Commit[store.Change, store.Written]) error { return nil }, "[]", "[]"},
		{"an insert whose key the database makes", store.Change{Op: store.Insert}, func(c *fulcrum.Commit[store.Change, store.Written]) error { c.Set(0, row); return nil }, "[]", "[]"},
		{"nobody knows", put, func(*fulcrum.Commit[store.Change, store.Written]) error { return fulcrum.ErrAmbiguous }, "[]", "[]"},
		{"failed", put, func(c *fulcrum.Commit[store.Change, store.Written]) error { c.Fail(0, store.ErrVersion); return nil }, "", ""},
		{"not made", put, func(*fulcrum.Commit[store.Change, store.Written]) error { return fulcrum.ErrUnavailable }, "", ""},
		{"told again", put, func(c *fulcrum.Commit[store.Change, store.Written]) error {
			c.Set(0, store.Written{Key: "7", Replayed: true})
			return nil
		}, "", ""},
	} {
		for _, late := range []bool{false, true} {
			var h hub
			h.init()
			var topic *topic
			follow := func() { topic, _ = h.follow(rowOf{"users", "", "7"}) }
			if !late {
				follow()
			}
			c := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{test.change}, nil)
			_ = h.around("users", func(_ context.Context, c *fulcrum.Commit[store.Change, store.Written]) error {
				if late {
					follow()
				}
				return test.apply(c)
			})(t.Context(), c)
			want := test.before
			if late {
				want = test.while
			}
			if got := logged(t, topic); got != want {
				t.Errorf("%s, late %t: told %s, want %s", test.name, late, got, want)
			}
		}
	}
}

// logged is all that a topic holds; empty if it holds nothing.
func logged(t *testing.T, topic *topic) (all string) {
	t.Helper()
	follower := topic.log.Follow(topic.log.ID(0))
	for range topic.log.Total() {
		e, _, _, err := follower.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintf("[%s]", e.Value)
	}
	return all
}

// Followers read a row once more when it is known that a commit was made after all.
func TestFollowersOfALostAnswer(t *testing.T) {
	for fate, want := range map[fulcrum.Fate]string{fulcrum.FateCommitted: "[][]", fulcrum.FateAborted: "[]", fulcrum.FateUnknown: "[][]"} {
		var h hub
		h.init()
		topic, _ := h.follow(rowOf{"users", "", "7"})
		c := fulcrum.NewCommit[store.Change, store.Written]([]store.Change{{Op: store.Put, Key: "7"}}, nil)
		_ = h.around("users", func(_ context.Context, c *fulcrum.Commit[store.Change, store.Written]) error {
			c.SetID("1")
			return fulcrum.ErrAmbiguous
		})(t.Context(), c)
		_, _ = h.resolved(func(context.Context, fulcrum.CommitID) (fulcrum.Fate, error) { return fate, nil })(t.Context(), "1")
		if got := logged(t, topic); got != want {
			t.Errorf("fate %d: told %s, want %s", fate, got, want)
		}
		if len(h.unclear) != 0 {
			t.Errorf("fate %d: %d commits are kept", fate, len(h.unclear))
		}
	}
}
