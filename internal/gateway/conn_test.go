package gateway

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// counted notes which deadlines a connection is told.
type counted struct {
	net.Conn
	reads []time.Time
}

func (c *counted) SetReadDeadline(t time.Time) error {
	c.reads = append(c.reads, t)
	return c.Conn.SetReadDeadline(t)
}

func TestDeadlinesHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		c := newConn(server)
		defer c.Close()
		start, one := time.Now(), make([]byte, 1)
		expect := func(what string, op func([]byte) (int, error), from, until time.Duration) {
			t.Helper()
			if _, err := op(one); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", what, err)
			}
			if at := time.Since(start); at < from || at > until {
				t.Errorf("%s: ended after %s, want %s to %s", what, at, from, until)
			}
			start = time.Now()
		}
		_ = c.SetReadDeadline(start.Add(time.Minute + time.Millisecond))
		expect("a distant one is rounded up", c.Read, time.Minute+time.Millisecond, time.Minute+time.Millisecond+grain)
		_ = c.SetReadDeadline(start.Add(50 * time.Millisecond))
		expect("a near one is not", c.Read, 50*time.Millisecond, 50*time.Millisecond)
		_ = c.SetDeadline(start.Add(time.Second))
		expect("writing", c.Write, time.Second, time.Second)
		_ = c.SetDeadline(time.Time{})
		time.AfterFunc(time.Hour, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
		expect("a read in progress", c.Read, time.Hour, time.Hour)
		expect("and it stays so", c.Read, 0, 0)
	})
}

// The deadlines of one request, as net/http sets them.
func TestDeadlinesAreSetOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		told := &counted{Conn: server}
		c := newConn(told)
		defer c.Close()
		one := make([]byte, 1)
		in := func(d time.Duration) {
			if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
				t.Error(err)
			}
		}
		for range 3 {
			in(time.Minute) // idle
			go func() { _, _ = client.Write(one) }()
			if _, err := c.Read(one); err != nil {
				t.Error(err)
			}
			_ = c.SetReadDeadline(time.Time{})
			in(5 * time.Second) // header
			in(time.Minute)     // request
			go func() {
				time.Sleep(time.Millisecond)
				_ = c.SetReadDeadline(time.Unix(1, 0)) // its answer is there
			}()
			if _, err := c.Read(one); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			_ = c.SetReadDeadline(time.Time{})
		}
		distant := time.Now().Add(time.Minute).Truncate(grain).Add(grain)
		past := time.Unix(1, 0)
		if want := []time.Time{distant, past, distant, past, distant, past}; !slices.EqualFunc(told.reads, want, time.Time.Equal) {
			t.Errorf("told %v, want %v", told.reads, want)
		}
	})
}
