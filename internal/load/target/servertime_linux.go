package target

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// serverTime reads the processor time of a PostgreSQL server on this machine.
type serverTime struct{ postmaster int } // 0: not known

// tick is the unit of times in /proc, the same on all of Linux.
const tick = 10 * time.Millisecond

// findServer asks the server for the process that serves us, whose parent is the
// server's own. It is believed only if that process is here and is PostgreSQL.
func findServer(ctx context.Context, conn *pgx.ConnConfig) serverTime {
	if !isLocal(conn.Host) {
		return serverTime{}
	}
	c, err := pgx.ConnectConfig(ctx, conn.Copy())
	if err != nil {
		return serverTime{}
	}
	defer c.Close(ctx)
	var pid int
	if err := c.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid); err != nil {
		return serverTime{}
	}
	p, ok := readProcess(pid)
	if parent, up := readProcess(p.parent); !ok || !up || !strings.HasPrefix(p.name, "postgres") || !strings.HasPrefix(parent.name, "postgres") {
		return serverTime{}
	}
	return serverTime{p.parent}
}

func isLocal(host string) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// process is what /proc/PID/stat says.
type process struct {
	name          string
	parent        int
	own, children time.Duration // of itself; of its children that have ended
}

func readProcess(pid int) (p process, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	begin, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if begin < 0 || end < begin {
		return p, false
	}
	fields := strings.Fields(string(text[end+1:])) // from the state on, which is field 3
	if len(fields) < 15 {
		return p, false
	}
	p.name = string(text[begin+1 : end])
	p.parent, _ = strconv.Atoi(fields[1])
	p.own = ticks(fields[11]) + ticks(fields[12])
	p.children = ticks(fields[13]) + ticks(fields[14])
	return p, true
}

func ticks(field string) time.Duration {
	n, _ := strconv.ParseInt(field, 10, 64)
	return time.Duration(n) * tick
}

// used is the time of the server and all its processes, living and gone.
func (s serverTime) used() (time.Duration, bool) {
	server, ok := readProcess(s.postmaster)
	if s.postmaster == 0 || !ok {
		return 0, false
	}
	sum := server.own + server.children
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		pid, _ := strconv.Atoi(filepath.Base(folder))
		if p, ok := readProcess(pid); ok && p.parent == s.postmaster {
			sum += p.own + p.children
		}
	}
	return sum, true
}
