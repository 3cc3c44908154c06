package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/events"
)

// eventJSON is an event with its place in the log.
type eventJSON struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	change
}

// log is what a request for events asks for: those of the tuner, or all others.
func (g *Gateway) log(r *http.Request) (log *events.Log[change], kind string) {
	if kind = r.URL.Query().Get("kind"); kind == "tuner" {
		return g.monitor.decisions, ""
	}
	return g.monitor.changes, kind
}

// eventList answers /api/v1/events: the last thousand, oldest first.
func eventList(x *exchange) {
	log, kind := x.g.log(x.r)
	list := struct {
		Total  uint64      `json:"total"`
		Events []eventJSON `json:"events"`
	}{log.Total(), []eventJSON{}}
	for _, e := range log.Recent(keptChanges) {
		if kind == "" || e.Value.Kind == kind {
			list.Events = append(list.Events, eventJSON{log.ID(e.Seq).String(), e.Time, e.Value})
		}
	}
	x.json(list)
}

// json answers with a value.
func (x *exchange) json(v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // what is told always can be marshalled
	}
	x.send(http.StatusOK, rowType, append(body, '\n'))
}

// wantsStream says whether a client asks for server-sent events.
func wantsStream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// eventPage lists events, or streams them.
func (g *Gateway) eventPage() http.Handler {
	list := g.adminPage(eventList)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !wantsStream(r) {
			list.ServeHTTP(w, r)
			return
		}
		log, kind := g.log(r)
		follow(g, w, r, log, func(e events.Entry[change], id events.ID) []byte {
			if kind != "" && e.Value.Kind != kind {
				return nil
			}
			body, err := json.Marshal(eventJSON{id.String(), e.Time, e.Value})
			if err != nil {
				return nil
			}
			return message(e.Value.Kind, id, body)
		})
	})
}

// statsStream sends the statistics once a second.
func (g *Gateway) statsStream() http.Handler {
	refuse := g.adminPage(func(*exchange) {})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			refuse.ServeHTTP(w, r)
			return
		}
		follow(g, w, r, g.monitor.ticks, func(e events.Entry[[]byte], id events.ID) []byte {
			return message("stats", id, e.Value)
		})
	})
}

func message(kind string, id events.ID, body []byte) []byte {
	return fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", id, kind, body)
}

// How streams are kept.
const (
	heartbeat  = 15 * time.Second // a comment, so that proxies and clients see that it lives
	slowStream = 10 * time.Second // a client may take to read an event
)

// follow streams what a log has after the client's Last-Event-ID, until the client
// leaves or the gateway ends. A client that has missed something gets event: reset.
func follow[T any](g *Gateway, w http.ResponseWriter, r *http.Request, log *events.Log[T], text func(events.Entry[T], events.ID) []byte) {
	after, err := events.ParseID(r.Header.Get("Last-Event-ID"))
	if err != nil {
		g.admins(func(x *exchange) { x.fail(badHeader.because("Last-Event-ID: want what an event's id said")) }).ServeHTTP(w, r)
		return
	}
	s := stream{w: w, c: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	_ = s.c.SetReadDeadline(time.Time{})
	if !s.send([]byte(": follow\n\n")) {
		return
	}
	follower := log.Follow(after)
	for {
		ctx, cancel := context.WithTimeout(r.Context(), heartbeat)
		e, id, reset, err := follower.Next(ctx)
		cancel()
		var sent bool
		switch {
		case err == nil && reset:
			sent = s.send([]byte("event: reset\ndata: {}\n\n")) && s.send(text(e, id))
		case err == nil:
			sent = s.send(text(e, id))
		case errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil:
			sent = s.send([]byte(": alive\n\n"))
		default:
			return
		}
		if !sent {
			return
		}
	}
}

// stream is a client that reads events.
type stream struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (s stream) send(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(slowStream))
	if _, err := s.w.Write(text); err != nil {
		return false
	}
	return s.c.Flush() == nil
}

func kText(k int) string { return strconv.Itoa(k) }
