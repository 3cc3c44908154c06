package target

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/load"
)

// ask sends one request for some keys and returns what came of it.
func ask(ctx context.Context, t load.Target, keys ...string) error {
	return t.Caller().Call(ctx, &load.Request{Keys: keys, Class: fulcrum.ClassNormal})
}

// server answers each connection with f until the test ends.
func server(t *testing.T, f func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(t.Context(), func() { c.Close() }) // f may still read
			all.Go(func() {
				defer stop()
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

func contains(t *testing.T, err error, want string) {
	t.Helper()
	if got := fmt.Sprint(err); !strings.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
