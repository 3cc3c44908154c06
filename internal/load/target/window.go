package target

import (
	"context"
	"sync"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
	"github.com/fulcrum-data/fulcrum/store"
)

// window gathers keys for a fixed time or up to a fixed number, then reads them in
// one query: what batchers with a timer do.
type window struct {
	store *Store

	mu   sync.Mutex
	open *pane
}

// pane is one window's keys. Its answers may be read once done is closed.
type pane struct {
	keys  []store.Key // in order of arrival, each once
	seen  map[store.Key]struct{}
	timer *time.Timer
	done  chan struct{}
	rows  map[store.Key][]byte
	err   error
}

func newWindow(s *Store) load.CallerFunc { return (&window{store: s}).call }

func (w *window) call(ctx context.Context, r *load.Request) error {
	key, err := w.store.key(r.Keys[0])
	if err != nil {
		return err
	}
	p := w.add(key)
	select {
	case <-p.done:
		return p.answer(key)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// add puts a key into the open window, and closes that if it is full.
func (w *window) add(key store.Key) *pane {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.open
	if p == nil {
		p = &pane{seen: map[store.Key]struct{}{}, done: make(chan struct{})}
		p.timer = time.AfterFunc(w.store.cfg.Window.Wait, func() { w.expire(p) })
		w.open = p
	}
	if _, twice := p.seen[key]; !twice {
		p.seen[key] = struct{}{}
		p.keys = append(p.keys, key)
	}
	if len(p.keys) >= w.store.cfg.Window.Keys {
		w.open = nil
		if p.timer.Stop() {
			go w.read(p)
		}
	}
	return p
}

// expire closes a window whose time is over.
func (w *window) expire(p *pane) {
	w.mu.Lock()
	if w.open == p {
		w.open = nil
	}
	w.mu.Unlock()
	w.read(p)
}

// read asks the database. Callers come and go, the query is nobody's.
func (w *window) read(p *pane) {
	p.rows, p.err = w.store.many(context.Background(), p.keys)
	close(p.done)
}

func (p *pane) answer(key store.Key) error {
	if failed, ok := p.err.(fulcrum.KeyErrors[store.Key]); ok { //nolint:errorlint // documented concrete type
		return failed[key]
	}
	if p.err != nil {
		return p.err
	}
	if _, found := p.rows[key]; !found {
		return fulcrum.ErrNotFound
	}
	return nil
}
