//go:build unix

package redistest_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/redistest"
)

func TestLives(t *testing.T) {
	r := redistest.Start(t, "--maxmemory", "20mb")
	life := runID(r)
	r.Do("SET", "a", "1")
	r.Save()
	r.Do("SET", "a", "2")
	r.Do("MSET", "b", "x", "c", "y")
	if got := r.Do("MGET", "a", "b", "nothing", "c"); got != "2\nx\n\ny" {
		t.Errorf("MGET said %q", got)
	}
	if got := r.Do("CONFIG", "GET", "maxmemory"); got != "maxmemory\n20971520" {
		t.Errorf("its flags: %q", got)
	}
	r.Restart()
	if got := r.Do("MGET", "a", "b"); got != "1\n" {
		t.Errorf("after a restart with an old snapshot: %q", got)
	}
	if runID(r) == life {
		t.Error("it is the same life")
	}
}

func runID(r *redistest.Server) string {
	_, id, _ := strings.Cut(r.Do("INFO", "server"), "run_id:")
	return id[:40]
}

// A frozen server accepts and says nothing; killed, it does not even accept.
func TestFreeze(t *testing.T) {
	r := redistest.Start(t)
	r.Freeze()
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 7)
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(answer); err == nil {
		t.Errorf("frozen, it said %q", answer[:n])
	}
	r.Thaw()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, _ := conn.Read(answer); string(answer[:n]) != "+PONG\r\n" {
		t.Errorf("thawed, it said %q", answer[:n])
	}
	r.Kill()
	if c, err := net.Dial("tcp", r.Addr()); err == nil {
		c.Close()
		t.Error("killed, it accepts")
	}
	r.Start()
}
