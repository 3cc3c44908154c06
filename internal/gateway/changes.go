package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/events"
	"github.com/fulcrum-data/fulcrum/store"
)

// hub tells those who follow a row of the changes that are committed here.
type hub struct {
	mu     sync.Mutex
	topics map[rowOf]*topic
	closed bool

	// unclear are the rows of commits whose answer was lost, until somebody knows.
	unclear map[fulcrum.CommitID][]rowOf
}

// rowOf is one row of a resource, as one scope sees it.
type rowOf struct {
	resource, scope string
	key             store.Key
}

// topic is the last changes of a row.
type topic struct {
	log       *events.Log[[]byte] // nil values are gaps: what became of a commit is not known
	followers int
	left      time.Time // when the last one went
}

const (
	// keptChangesOfRow is how many changes a follower may be behind.
	keptChangesOfRow = 256
	// forgetTopic is how long a row is kept that nobody follows: for those whose
	// connection broke.
	forgetTopic = time.Minute
	// mostTopics bounds the rows that are followed at once.
	mostTopics = 100_000
)

func (h *hub) init() {
	h.topics = make(map[rowOf]*topic)
	h.unclear = make(map[fulcrum.CommitID][]rowOf)
}

// follow begins to follow a row; false if too many are, or the gateway ends.
func (h *hub) follow(row rowOf) (*topic, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[row]
	if t == nil {
		if h.sweep(time.Now()); h.closed || len(h.topics) >= mostTopics {
			return nil, false
		}
		t = &topic{log: events.New[[]byte](keptChangesOfRow, strconv.FormatInt(time.Now().UnixNano(), 36))}
		h.topics[row] = t
	}
	t.followers++
	return t, true
}

func (h *hub) leave(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.followers--; t.followers == 0 {
		t.left = time.Now()
	}
}

// sweep forgets rows that nobody has followed for a while. The lock is held.
func (h *hub) sweep(now time.Time) {
	for row, t := range h.topics {
		if t.followers == 0 && now.Sub(t.left) > forgetTopic {
			delete(h.topics, row)
		}
	}
}

// close ends all streams.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, t := range h.topics {
		t.log.Close()
	}
}

// followed has the topics of those changes whose rows are followed, by their places. It
// asks for the rows that followers will be shown.
func (h *hub) followed(resource, scope string, changes []store.Change) map[int]*topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.topics) == 0 {
		return nil
	}
	found := make(map[int]*topic)
	for i := range changes {
		if t := h.topics[rowOf{resource, scope, changes[i].Key}]; t != nil {
			found[i] = t
			changes[i].Return = true
		}
	}
	return found
}

type applying = func(context.Context, *fulcrum.Commit[store.Change, store.Written]) error

// around tells followers of what a commit has changed, before its callers know: of one
// key there is one commit at a time, so that they come in their order. A nil event has
// them read the row again.
func (h *hub) around(resource string, apply applying) applying {
	return func(ctx context.Context, c *fulcrum.Commit[store.Change, store.Written]) error {
		scope := fulcrum.ScopeFrom(ctx)
		topics := h.followed(resource, scope, c.Items())
		err := apply(ctx, c)
		now := time.Now()
		for i, t := range h.touched(resource, scope, c, err) {
			result, _ := c.Result(i)
			if t != topics[i] || err != nil || result.Row == nil { // it came meanwhile, or nobody has said what the row is
				t.log.Append(now, nil)
				continue
			}
			t.log.Append(now, changeText(c.Items()[i], result))
		}
		return err
	}
}

// touched has the topics of those rows that a commit has changed or may have changed, by
// the places of the changes: also of those that somebody has begun to follow while it was
// made, and may have read before.
func (h *hub) touched(resource, scope string, c *fulcrum.Commit[store.Change, store.Written], err error) map[int]*topic {
	lost := errors.Is(err, fulcrum.ErrAmbiguous)
	if err != nil && !lost {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.topics) == 0 && !lost {
		return nil
	}
	found := make(map[int]*topic)
	for i, change := range c.Items() {
		row := rowOf{resource, scope, change.Key}
		result, failed := c.Result(i)
		if row.key == "" {
			row.key = result.Key // the database has made it
		}
		if lost && c.ID() != "" {
			h.unclear[c.ID()] = append(h.unclear[c.ID()], row)
		}
		if t := h.topics[row]; t != nil && (lost || failed == nil && !result.Replayed) {
			found[i] = t
		}
	}
	return found
}

type resolving = func(context.Context, fulcrum.CommitID) (fulcrum.Fate, error)

// resolved tells followers once more of a commit whose answer was lost: what they have
// read meanwhile may be older.
func (h *hub) resolved(resolve resolving) resolving {
	return func(ctx context.Context, id fulcrum.CommitID) (fulcrum.Fate, error) {
		fate, err := resolve(ctx, id)
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, row := range h.unclear[id] {
			if t := h.topics[row]; t != nil && fate != fulcrum.FateAborted {
				t.log.Append(time.Now(), nil)
			}
		}
		delete(h.unclear, id)
		return fate, err
	}
}

// changeText is what a follower gets of a change.
func changeText(c store.Change, w store.Written) []byte {
	b := appendString([]byte(`{"op":`), c.Op.String())
	b = appendString(append(b, `,"key":`...), string(c.Key))
	if w.Version != "" {
		b = appendString(append(b, `,"version":`...), w.Version)
	}
	b = append(b, `,"row":`...)
	if c.Op == store.Delete || w.Row == nil {
		return append(b, `null}`...)
	}
	return append(append(b, w.Row...), '}')
}

const eventsPath = "/events"

// isEvents says whether a path below a resource is a key and then events.
func (res *resource) isEvents(path string) bool {
	return strings.HasSuffix(path, eventsPath) && strings.Count(path, "/") == res.keyParts
}

// events answers GET /v1/{resource}/{key…}/events: the row as it is, then every change
// that is committed here, as server-sent events. Who comes back with Last-Event-ID gets
// what was missed; if that cannot be told, the row as it is once more, as event: reset.
func (x *exchange) events(path string) {
	if x.res.write == nil {
		x.fail(unknownPath.because("resource %s is not writable: nothing changes it here", x.res.name))
		return
	}
	after, err := events.ParseID(x.r.Header.Get("Last-Event-ID"))
	if err != nil {
		x.fail(badHeader.because("Last-Event-ID: want what an event's id said"))
		return
	}
	key, err := x.pathKey(strings.TrimSuffix(path, eventsPath))
	if err != nil {
		x.fail(problemOf(err))
		return
	}
	hub := &x.g.commits.hub
	scope := ""
	if x.who != nil {
		scope = x.who.scope
	}
	t, ok := hub.follow(rowOf{x.res.name, scope, key})
	if !ok {
		x.fail(problem{kind: shed, detail: "reason: too_many_followers", retryAfter: forgetTopic})
		return
	}
	defer hub.leave(t)
	f := following{x: x, key: key, topic: t, stream: stream{w: x.w, c: http.NewResponseController(x.w)}}
	f.run(after)
}

// following is one client that follows a row.
type following struct {
	x     *exchange
	key   store.Key
	topic *topic
	stream
}

func (f *following) run(after events.ID) {
	h := f.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	_ = f.c.SetReadDeadline(time.Time{})
	f.x.status = http.StatusOK
	f.x.g.statuses[http.StatusOK].Add(1)
	log := f.topic.log
	fresh := after == events.ID{}
	if fresh {
		after = log.ID(log.Total())
	}
	follower := log.Follow(after)
	if fresh && !f.reset(after) || !fresh && !f.send([]byte(": follow\n\n")) {
		return
	}
	for {
		ctx, cancel := context.WithTimeout(f.x.r.Context(), heartbeat)
		e, id, reset, err := follower.Next(ctx)
		cancel()
		sent := false
		switch {
		case err == nil && (reset || e.Value == nil):
			at := log.ID(log.Total())
			sent = f.reset(at)
			follower = log.Follow(at)
		case err == nil:
			sent = f.send(message("change", id, e.Value))
		case errors.Is(err, context.DeadlineExceeded) && f.x.r.Context().Err() == nil:
			sent = f.send([]byte(": alive\n\n"))
		}
		if !sent {
			return
		}
	}
}

// reset sends the row as it is, read after the place from which changes will be told.
func (f *following) reset(at events.ID) bool {
	ctx, cancel := context.WithTimeout(f.x.r.Context(), f.x.timeout)
	defer cancel()
	if f.x.who != nil && f.x.who.scope != "" {
		ctx = fulcrum.WithScope(ctx, f.x.who.scope)
	}
	row, err := f.x.reader.Get(ctx, f.key, options[f.x.class], fulcrum.Fresh)
	var body []byte
	switch {
	case errors.Is(err, fulcrum.ErrNotFound):
		body = []byte(`{"row":null}`)
	case err != nil:
		return false // the client comes back
	default:
		body = bytes.Join([][]byte{[]byte(`{"row":`), row, []byte(`}`)}, nil)
	}
	return f.send(fmt.Appendf(nil, "id: %s\nevent: reset\ndata: %s\n\n", at, body))
}
