package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

// errNoKeeper says that the database cannot keep anything of ours.
var errNoKeeper = errors.New("gateway: this database keeps no dead letters")

func (g *Gateway) keeper() (store.Keeper, error) {
	k, ok := g.cfg.DB.(store.Keeper)
	if !ok {
		return nil, errNoKeeper
	}
	return k, nil
}

// DeadLetters lists at most limit changes that were accepted and could not be made, the
// oldest first, with IDs above after.
func (g *Gateway) DeadLetters(ctx context.Context, after int64, limit int) ([]store.DeadLetter, error) {
	k, err := g.keeper()
	if err != nil {
		return nil, err
	}
	return k.DeadLetters(ctx, after, limit)
}

// Discard takes dead letters away and says how many there were.
func (g *Gateway) Discard(ctx context.Context, ids ...int64) (int, error) {
	k, err := g.keeper()
	if err != nil {
		return 0, err
	}
	return k.Discard(ctx, ids)
}

// Replay makes a dead letter's change after all, and takes the letter away. It is made
// once, even if that fails in the middle and is tried again.
func (g *Gateway) Replay(ctx context.Context, id int64) error {
	k, err := g.keeper()
	if err != nil {
		return err
	}
	found, err := k.DeadLetters(ctx, id-1, 1)
	if err != nil {
		return err
	}
	if len(found) == 0 || found[0].ID != id {
		return fmt.Errorf("gateway: there is no dead letter %d", id)
	}
	letter := found[0]
	res := g.live.Load().resources[letter.Resource]
	if res == nil || res.write == nil {
		return fmt.Errorf("gateway: dead letter %d is of resource %q, which cannot be written", id, letter.Resource)
	}
	change := letter.Change
	change.Once = &store.Once{Scope: "dead letter", Key: fmt.Sprintf("%d %d", id, letter.At.UnixNano()), Again: true}
	if change, err = res.writable.ParseChange(change); err != nil {
		return err
	}
	if _, err := res.write.Write(fulcrum.WithScope(ctx, letter.Scope), change); err != nil {
		return err
	}
	_, err = k.Discard(ctx, []int64{id})
	return err
}

// deadLetterJSON is a dead letter as the admin listener tells it.
type deadLetterJSON struct {
	ID       int64           `json:"id"`
	Time     time.Time       `json:"time"`
	Resource string          `json:"resource"`
	Op       string          `json:"op"`
	Key      store.Key       `json:"key"`
	Body     json.RawMessage `json:"body,omitempty"`
	Error    string          `json:"error"`
}

const (
	deadLetterPath  = "/api/v1/deadletters"
	deadLettersOnce = 1000 // in one answer
)

// deadLetterPage answers /api/v1/deadletters: GET lists, POST …/{id} replays, DELETE
// …/{id} discards.
func (g *Gateway) deadLetterPage() http.Handler {
	return g.admins(func(x *exchange) {
		x.w.Header()["Cache-Control"] = noStore
		rest := x.r.URL.Path[len(deadLetterPath):]
		if rest == "" {
			if x.allow(http.MethodGet, http.MethodHead) {
				x.listDeadLetters()
			}
			return
		}
		id, err := strconv.ParseInt(rest[1:], 10, 64)
		if err != nil {
			x.fail(badPath.because("want %s/ID with a number", deadLetterPath))
			return
		}
		if !x.allow(http.MethodPost, http.MethodDelete) || !x.mayAct() {
			return
		}
		if x.r.Header.Get("Content-Type") != "application/json" { // no form of a strange page can send that
			x.fail(badHeader.because("Content-Type: want application/json"))
			return
		}
		x.settleDeadLetter(id)
	})
}

func (x *exchange) listDeadLetters() {
	after := int64(0)
	if text := x.r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			x.fail(badHeader.because("after %q: want the id of a dead letter", shorten(text)))
			return
		}
	}
	found, err := x.g.DeadLetters(x.r.Context(), after, deadLettersOnce)
	if err != nil {
		x.fail(x.deadLetterProblem(err))
		return
	}
	list := struct {
		Letters []deadLetterJSON `json:"dead_letters"`
	}{[]deadLetterJSON{}}
	for _, d := range found {
		list.Letters = append(list.Letters, deadLetterJSON{d.ID, d.At, d.Resource, d.Change.Op.String(), d.Change.Key, d.Change.Body, d.Error})
	}
	x.json(list)
}

func (x *exchange) settleDeadLetter(id int64) {
	err := error(nil)
	if x.r.Method == http.MethodPost {
		err = x.g.Replay(x.r.Context(), id)
	} else {
		var n int
		if n, err = x.g.Discard(x.r.Context(), id); err == nil && n == 0 {
			x.fail(notFound.because("there is no dead letter %d", id))
			return
		}
	}
	if err != nil {
		x.fail(x.deadLetterProblem(err))
		return
	}
	x.sendBody(http.StatusNoContent, nil)
}

// deadLetterProblem tells who runs the gateway what is wrong.
func (x *exchange) deadLetterProblem(err error) problem {
	p := problemOf(err)
	if p.detail == "" {
		p.detail = err.Error()
	}
	return p
}
