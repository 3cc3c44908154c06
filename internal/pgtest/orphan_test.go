//go:build unix

package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// helperVariable makes the test binary a program that launches one server,
// says where it is and waits until its standard input ends. With the value
// "ready to pause" it freezes the server after a line of input and says it
// again.
const helperVariable = "FULCRUM_PGTEST_HELPER"

// helper is that program.
func helper() int {
	s, err := Launch(context.Background(), Config{})
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	if os.Getenv(helperVariable) == "ready to pause" {
		fmt.Println(s.process.pid(), s.DSN())
		bufio.NewReader(os.Stdin).ReadString('\n')
		if err := s.Pause(); err != nil {
			fmt.Println("failed:", err)
			return 1
		}
	}
	fmt.Println(s.process.pid(), s.DSN())
	io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		return 1
	}
	return 0
}

// A program is a running helper.
type program struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func runHelper(t *testing.T, mode string, env ...string) *program {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	p := &program{cmd: exec.Command(exe)}
	p.cmd.Env = append(append(os.Environ(), env...), helperVariable+"="+mode)
	p.in, err = p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewReader(out)
	must(t, p.cmd.Start())
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	return p
}

// server reads where the helper's server is.
func (p *program) server(t *testing.T) (pid int, dsn string) {
	t.Helper()
	line, err := p.out.ReadString('\n')
	must(t, err)
	if _, err := fmt.Sscan(line, &pid, &dsn); err != nil {
		t.Fatalf("the helper said %q", line)
	}
	return pid, dsn
}

func TestServersDieWithTheirProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no parent-death signal here")
	}
	t.Parallel()
	for _, mode := range []string{"running", "ready to pause"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p := runHelper(t, mode)
			pid, dsn := p.server(t)
			conn, err := pgconn.Connect(t.Context(), dsn)
			must(t, err)
			defer conn.Close(context.Background())
			if mode == "ready to pause" {
				_, err := io.WriteString(p.in, "\n")
				must(t, err)
				p.server(t)
			}
			must(t, p.cmd.Process.Kill())
			// The session's end is the event: its backend is gone.
			if _, err := io.Copy(io.Discard, conn.Conn()); err != nil {
				t.Log("the session ended with", err)
			}
			must(t, eventually(func() (bool, error) {
				e, found := find(pid) // whoever adopts it may be slow to reap it
				return !found || e.state == 'Z', nil
			}))
		})
	}
}

// openTemp makes a temporary folder that the servers' account may enter.
func openTemp(t *testing.T) string {
	t.Helper()
	tmp, err := os.MkdirTemp("", "pgtest-")
	must(t, err)
	must(t, os.Chmod(tmp, 0o755))
	t.Cleanup(func() { os.RemoveAll(tmp) })
	return tmp
}

func TestProcessesShareOneTemplate(t *testing.T) {
	t.Parallel()
	tmp := openTemp(t)
	var programs []*program
	for range 3 {
		programs = append(programs, runHelper(t, "running", "TMPDIR="+tmp))
	}
	for _, p := range programs {
		_, dsn := p.server(t)
		conn, err := pgconn.Connect(t.Context(), dsn)
		must(t, err)
		must(t, conn.Close(t.Context()))
		must(t, p.in.Close())
		must(t, p.cmd.Wait())
	}
	left, err := filepath.Glob(filepath.Join(tmp, "*", "*"))
	must(t, err)
	if len(left) != 2 { // the template and its lock
		t.Errorf("left behind: %v", left)
	}
}

func TestSweepTakesOnlyFoldersOfTheDead(t *testing.T) {
	tmp := openTemp(t)
	t.Setenv("TMPDIR", tmp)
	in, err := findInstall()
	must(t, err)
	base, err := baseFolder(false)
	must(t, err)

	owned, err := in.newFolder(false)
	must(t, err)
	dead := filepath.Join(base, "server-dead")
	fresh := filepath.Join(base, "server-fresh")
	for _, path := range []string{dead, fresh} {
		must(t, os.Mkdir(path, 0o700))
	}
	old := time.Now().Add(-time.Hour)
	for _, path := range []string{owned.path, dead} {
		must(t, os.Chtimes(path, old, old))
	}
	sweep(base)
	for path, want := range map[string]bool{owned.path: true, dead: false, fresh: true} {
		if exists(path) != want {
			t.Errorf("%s: exists is %v, want %v", path, !want, want)
		}
	}
	must(t, owned.remove())
}
