package shared

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Listener is what keeps values in memory, as cache.Near does, and wants to be told of what
// others write.
type Listener[K comparable] struct {
	// Forget drops keys. Required.
	Forget func(keys ...K)
	// Hold drops everything and has nothing be told or kept until the function is called
	// that it returns. Required.
	Hold func() (release func())
}

// listener is one, by the text of its keys.
type listener struct {
	forget  func(key string)
	hold    func() func()
	release func() // nil while it may tell what it has
}

// tracker has a connection of its own on which Redis says which writers' keys have changed.
// Redis answers there in order: once it has answered a PING, all has come that changed
// before. So what listeners tell is believed for as long as PINGs are answered in time.
type tracker struct {
	link  *Link
	dials atomic.Uint64 // each one may have missed something

	mu        sync.Mutex
	listeners map[string][]*listener // by resource
	on        bool
	since     time.Time // when that changed last
	losses    uint64
}

func (t *tracker) init(l *Link) {
	t.link, t.listeners, t.since = l, map[string][]*listener{}, time.Now()
}

// listen adds a listener. It is held until the connection is there.
func (t *tracker) listen(resource string, x *listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		x.release = x.hold()
	}
	t.listeners[resource] = append(t.listeners[resource], x)
}

// lost has all listeners drop what they have.
func (t *tracker) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return
	}
	t.on, t.since = false, time.Now()
	t.losses++
	for _, all := range t.listeners {
		for _, x := range all {
			x.release = x.hold()
		}
	}
}

// heard lets them go on, unless the connection is another than when it was asked.
func (t *tracker) heard(dials uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.on || t.dials.Load() != dials {
		return
	}
	t.on, t.since = true, time.Now()
	for _, all := range t.listeners {
		for _, x := range all {
			x.release()
			x.release = nil
		}
	}
}

// told is what Redis says has changed; nil if that may be anything.
func (t *tracker) told(keys []rueidis.RedisMessage) {
	if keys == nil {
		t.dials.Add(1) // a PING that is under way shows nothing
		t.lost()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range keys {
		if key, err := keys[i].ToString(); err == nil {
			t.changed(strings.TrimPrefix(key, t.link.tracked()))
		}
	}
}

// changed is a writers' key without its prefix: life, resource, and a row's key or all.
func (t *tracker) changed(key string) {
	_, key, _ = strings.Cut(key, ":")
	resource, key, _ := strings.Cut(key, ":")
	t.link.counts.told.Add(1)
	for _, x := range t.listeners[resource] {
		if row, ok := strings.CutPrefix(key, "k"); ok {
			x.forget(row)
		} else {
			x.hold()()
		}
	}
}

// run keeps the connection.
func (t *tracker) run() {
	var client rueidis.Client
	defer func() {
		t.lost()
		if client != nil {
			client.Close()
		}
	}()
	for beat := t.link.cfg.Heartbeat / 2; ; {
		var err error
		if client == nil {
			client, err = t.connect()
		}
		if err == nil {
			err = t.ask(client)
		}
		if err != nil {
			t.lost()
		}
		select {
		case <-time.After(beat):
		case <-t.link.ended:
			return
		}
	}
}

func (t *tracker) ask(client rueidis.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), t.link.cfg.Heartbeat)
	defer cancel()
	dials := t.dials.Load()
	err := client.Do(ctx, client.B().Ping().Build()).Error()
	if err == nil {
		t.heard(dials)
	}
	return err
}

func (t *tracker) connect() (rueidis.Client, error) {
	o, err := t.link.cfg.option()
	if err != nil {
		return nil, err
	}
	o.ClientTrackingOptions = []string{"BCAST", "PREFIX", t.link.tracked()}
	o.OnInvalidations = t.told
	dial := o.DialCtxFn
	if dial == nil {
		dial = dialTCP
	}
	o.DialCtxFn = func(ctx context.Context, address string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
		t.dials.Add(1)
		t.lost() // before anything can be asked on the new one
		return dial(ctx, address, d, c)
	}
	return rueidis.NewClient(o)
}

func dialTCP(ctx context.Context, address string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
	if c != nil {
		return (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, "tcp", address)
	}
	return d.DialContext(ctx, "tcp", address)
}
