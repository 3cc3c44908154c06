package faultproxy

import (
	"io"
	"net"
	"sync"
	"testing"
)

// start starts a proxy for a test.
func start(tb testing.TB, target string, opts Options) *Proxy {
	tb.Helper()
	p, err := New(target, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	return p
}

// dial connects for a test.
func dial(tb testing.TB, addr string) *net.TCPConn {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// listen serves every connection with a function, closes it afterwards, and at
// the test's end waits for all of them.
func listen(tb testing.TB, serve func(*net.TCPConn)) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	tb.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// echo returns the address of a server that sends back what it gets.
func echo(tb testing.TB) string {
	return listen(tb, func(c *net.TCPConn) { io.Copy(writerOnly{c}, c) })
}

// writerOnly hides ReadFrom, so that io.Copy does not splice in the kernel,
// which no server between two protocols could.
type writerOnly struct{ io.Writer }

// discard returns the address of a server that reads to the end.
func discard(tb testing.TB) string {
	return listen(tb, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
}
