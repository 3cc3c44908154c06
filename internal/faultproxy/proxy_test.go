package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// say writes and fails the test on an error.
func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// hear expects exactly this to arrive next.
func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

// hearNothing expects silence for long enough that an answer would have come.
func hearNothing(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	defer c.SetReadDeadline(time.Time{})
	var buf [64]byte
	if n, err := c.Read(buf[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q (%v), want nothing", buf[:n], err)
	}
}

// hearReset expects the connection to break without another byte.
func hearReset(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 64)); n > 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %d bytes and %v, want a reset", n, err)
	}
}

func TestEveryByteArrivesInOrder(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]Options{
		"at once":                   {},
		"delayed":                   {Delay: 2 * time.Millisecond},
		"delayed, tiny buffer":      {Delay: time.Millisecond, Buffer: 1000},
		"delayed, odd buffer":       {Delay: 300 * time.Microsecond, Buffer: 100_003},
		"delay shorter than a tick": {Delay: 20 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, echo(t), opts)
			var wg sync.WaitGroup
			for range 4 {
				conn := dial(t, p.Addr())
				wg.Go(func() { exchange(t, conn, 400_000) })
			}
			wg.Wait()
		})
	}
}

// exchange sends random pieces, half-closes, and expects all of it back, then
// the end.
func exchange(t *testing.T, conn *net.TCPConn, size int) {
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	failed := make(chan error, 1)
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(9000))
			if _, err := conn.Write(rest[:n]); err != nil {
				failed <- err
				return
			}
			rest = rest[n:]
		}
		failed <- conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err := errors.Join(err, <-failed); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes sent, %d received, or not the same", len(sent), len(got))
	}
}

func TestBytesSurviveDelayChangesAndHangs(t *testing.T) {
	t.Parallel()
	p := start(t, echo(t), Options{})
	conn := dial(t, p.Addr())
	done := make(chan struct{})
	go func() {
		defer close(done)
		exchange(t, conn, 3_000_000)
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
			p.SetDelay(time.Duration(i%3) * 200 * time.Microsecond)
			p.Hang()
			if err := p.Heal(); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
	}
}

func TestADelayDelays(t *testing.T) {
	t.Parallel()
	const delay = 30 * time.Millisecond
	p := start(t, echo(t), Options{})
	conn := dial(t, p.Addr())
	say(t, conn, "warm")
	hear(t, conn, "warm")
	p.SetDelay(delay)
	began := time.Now()
	say(t, conn, "slow")
	hear(t, conn, "slow")
	// Only the lower bound: how late it may be is for the benchmark.
	if took := time.Since(began); took < delay-time.Millisecond {
		t.Errorf("a round trip took %v, want at least %v", took, delay)
	}
}

func TestReadingGoesOnWhileDataIsOnItsWay(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 10)
	p := start(t, echo(t), Options{Delay: time.Hour, OnData: func(_ Direction, b []byte) Action {
		seen <- string(b)
		return Pass
	}})
	conn := dial(t, p.Addr())
	for _, text := range []string{"one", "two", "three"} {
		say(t, conn, text)
		if got := <-seen; got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	hearNothing(t, conn)
}

func TestCutResetsAndRefusesUntilHealed(t *testing.T) {
	t.Parallel()
	p := start(t, echo(t), Options{})
	addr := p.Addr()
	for range 3 {
		conn := dial(t, addr)
		say(t, conn, "hello")
		hear(t, conn, "hello")
		p.Cut()
		p.Cut()
		hearReset(t, conn)
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial while cut: got %v, want a refusal", err)
		}
		if err := errors.Join(p.Heal(), p.Heal()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHangHoldsEverythingUntilHealed(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{}, 10)
	p := start(t, echo(t), Options{OnData: func(Direction, []byte) Action {
		seen <- struct{}{}
		return Pass
	}})
	old := dial(t, p.Addr())
	say(t, old, "before")
	hear(t, old, "before")
	p.Hang()
	say(t, old, "during")
	young := dial(t, p.Addr()) // accepted
	say(t, young, "young")
	for range 3 { // two for "before", one for "during"
		<-seen
	}
	hearNothing(t, old)
	hearNothing(t, young)
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
	hear(t, old, "during")
	hear(t, young, "young")
}

func TestCutEndsAHang(t *testing.T) {
	t.Parallel()
	p := start(t, echo(t), Options{})
	old := dial(t, p.Addr())
	say(t, old, "x")
	hear(t, old, "x")
	p.Hang()
	young := dial(t, p.Addr())
	p.Cut()
	hearReset(t, old)
	hearReset(t, young)
}

// script is a target that answers INSERT with 1 and COMMIT with OK, and reports
// what it heard when the connection has ended.
func script(t *testing.T) (addr string, heard <-chan string) {
	said := make(chan string, 1)
	addr = listen(t, func(c *net.TCPConn) {
		var all bytes.Buffer
		buf := make([]byte, 1024)
		for {
			n, err := c.Read(buf)
			all.Write(buf[:n])
			switch string(buf[:n]) {
			case "INSERT":
				io.WriteString(c, "1")
			case "COMMIT":
				io.WriteString(c, "OK")
			}
			if err != nil {
				said <- all.String()
				return
			}
		}
	})
	return addr, said
}

// at returns a hook that acts when it sees a text going one way.
func at(where Direction, text string, action Action) func(Direction, []byte) Action {
	return func(dir Direction, b []byte) Action {
		if dir == where && bytes.Contains(b, []byte(text)) {
			return action
		}
		return Pass
	}
}

func TestTheHookCutsAtAnExactMoment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		hook    func(Direction, []byte) Action
		heard   string // by the target
		answer  string // before the client's reset or end
		orderly bool
	}{
		{"before the request", at(ToTarget, "COMMIT", CutBefore), "INSERT", "", false},
		{"after the request", at(ToTarget, "COMMIT", CutAfter), "INSERTCOMMIT", "", false},
		{"before the answer", at(ToClient, "OK", CutBefore), "INSERTCOMMIT", "", false},
		{"after the answer", at(ToClient, "OK", CutAfter), "INSERTCOMMIT", "OK", true},
	} {
		for _, delay := range []time.Duration{0, time.Millisecond} {
			t.Run(c.name+"/"+delay.String(), func(t *testing.T) {
				t.Parallel()
				target, heard := script(t)
				p := start(t, target, Options{Delay: delay, OnData: c.hook})
				conn := dial(t, p.Addr())
				say(t, conn, "INSERT")
				hear(t, conn, "1")
				say(t, conn, "COMMIT")
				hear(t, conn, c.answer)
				if c.orderly {
					if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
						t.Errorf("got %q (%v), want the end", rest, err)
					}
				} else {
					hearReset(t, conn)
				}
				if got := <-heard; got != c.heard {
					t.Errorf("the target heard %q, want %q", got, c.heard)
				}
			})
		}
	}
}

func TestAnUnreachableTargetResetsTheClient(t *testing.T) {
	t.Parallel()
	gone := start(t, "127.0.0.1:1", Options{})
	gone.Cut() // a port that refuses
	p := start(t, gone.Addr(), Options{})
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer conn.Close()
		hearReset(t, conn)
	} else if !errors.Is(err, syscall.ECONNRESET) { // so fast that the dial sees it
		t.Fatal(err)
	}
}

func TestAResetTravelsThrough(t *testing.T) {
	t.Parallel()
	p := start(t, listen(t, func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 1))
		c.SetLinger(0)
	}), Options{Delay: time.Millisecond})
	conn := dial(t, p.Addr())
	say(t, conn, "x")
	hearReset(t, conn)
}

func TestNothingIsLeftBehind(t *testing.T) {
	target := echo(t)
	p := start(t, target, Options{Delay: time.Hour})
	for i := range 20 {
		conn := dial(t, p.Addr())
		say(t, conn, "on its way for an hour")
		if i%2 == 0 {
			p.Hang()
		}
	}
	p.Close()
	p.Close()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, name := range []string{"(*link)", "(*pipe)", "(*Proxy).serve", "(*alarm)", "(*queue)"} {
		if strings.Contains(string(stacks), "faultproxy."+name) {
			t.Errorf("a goroutine is still in %s:\n%s", name, stacks)
		}
	}
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if err := p.Heal(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Heal after Close: got %v", err)
	}
}

func TestALinkEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	p := start(t, echo(t), Options{})
	for range 10 {
		conn := dial(t, p.Addr())
		say(t, conn, "x")
		hear(t, conn, "x")
		conn.Close()
	}
	for p.Connections() > 0 {
		runtime.Gosched()
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, opts := range []Options{{Delay: -1}, {Buffer: -1}} {
		if p, err := New("127.0.0.1:1", opts); err == nil {
			p.Close()
			t.Errorf("%+v was accepted", opts)
		}
	}
	if ToTarget.String() != "to target" || ToClient.String() != "to client" {
		t.Error("the directions have other names")
	}
}
