//go:build unix

package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is one Redis. Its methods fail the test if they cannot do what they say. They are
// for one goroutine at a time, but for Addr, URL and Do.
type Server struct {
	tb     testing.TB
	folder string
	port   int
	flags  []string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has; nil while none runs
}

// patience is how long a server may take to start, to end, or to answer.
const patience = 30 * time.Second

// Start starts a server for a test and ends it with the test. It never skips: a machine
// without Redis fails the test and says what to do. flags are added to the command line,
// such as "--maxmemory", "10mb".
func Start(tb testing.TB, flags ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, folder: tb.TempDir(), flags: flags}
	s.port = freePort(tb)
	s.Start()
	tb.Cleanup(func() {
		if tb.Failed() {
			log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
			tb.Logf("the end of Redis' log:\n%s", log[max(0, len(log)-2000):])
		}
		if s.ended != nil {
			s.Kill()
		}
	})
	return s
}

// freePort finds a port below the range that systems take for outgoing connections, so
// that it is free when the server starts again.
func freePort(tb testing.TB) int {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", addr(port)); err == nil {
			if err := l.Close(); err != nil {
				tb.Fatal(err)
			}
			return port
		}
	}
	tb.Fatal("redistest: no free port")
	return 0
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Addr is where it listens.
func (s *Server) Addr() string { return addr(s.port) }

// URL is where it listens, as a configuration says it.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Start starts a server that was stopped or killed, on the same port, with the last
// snapshot if there is one.
func (s *Server) Start() {
	s.tb.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.tb.Fatal("redistest: there is no redis-server in PATH; `make deps` installs it")
	}
	args := []string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.folder, "--logfile", "log",
		"--save", "", "--appendonly", "no", "--dbfilename", "dump.rdb", "--daemonize", "no",
	}
	s.cmd = exec.Command(path, append(args, s.flags...)...)
	s.ended = make(chan struct{})
	if err := s.run(); err != nil {
		s.tb.Fatal("redistest: ", err)
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		answer, err := s.ask("PING")
		switch {
		case err == nil && answer == "PONG":
			return
		case time.Since(begin) > patience:
			s.tb.Fatalf("redistest: not ready after %s: %q, %v", patience, answer, err)
		}
		select {
		case <-s.ended:
			s.tb.Fatal("redistest: redis-server has ended: ", s.cmd.ProcessState)
		default:
		}
	}
}

// run starts the process from the thread that awaits it: the kernel's parent-death signal
// fires when the thread that forked ends.
func (s *Server) run() error {
	dieWithParent(s.cmd)
	started, cmd, ended := make(chan error), s.cmd, s.ended
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed, mostly
			close(ended)
		}
	}()
	return <-started
}

// Kill ends it at once, frozen or not.
func (s *Server) Kill() {
	s.tb.Helper()
	s.signal(syscall.SIGKILL)
	select {
	case <-s.ended:
		s.ended = nil
	case <-time.After(patience):
		s.tb.Fatal("redistest: it does not end")
	}
}

// Restart is Kill and Start.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	s.Start()
}

// Freeze stops it in the middle of what it does: connections stay, nothing is answered.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw has it go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// Save puts what it holds into the snapshot with which it starts next.
func (s *Server) Save() {
	s.tb.Helper()
	if answer := s.Do("SAVE"); answer != "OK" {
		s.tb.Fatal("redistest: SAVE said ", answer)
	}
}

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if s.ended == nil {
		s.tb.Fatal("redistest: it does not run")
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal("redistest: ", err)
	}
}

// Do runs a command on a connection of its own, and returns its answer: of several
// elements one line each.
func (s *Server) Do(command ...string) string {
	s.tb.Helper()
	answer, err := s.ask(command...)
	if err != nil {
		s.tb.Fatalf("redistest: %s: %v", strings.Join(command, " "), err)
	}
	return answer
}

func (s *Server) ask(command ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr(), patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	text := fmt.Appendf(nil, "*%d\r\n", len(command))
	for _, word := range command {
		text = fmt.Appendf(text, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := conn.Write(text); err != nil {
		return "", err
	}
	return answer(bufio.NewReader(conn))
}

// answer reads one answer of RESP2.
func answer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty line")
	}
	switch line[0] {
	case '+', ':':
		return line[1:], nil
	case '-':
		return "", errors.New(line[1:])
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return "", err
	}
	if line[0] == '*' {
		lines := make([]string, n)
		for i := range lines {
			if lines[i], err = answer(r); err != nil {
				return "", err
			}
		}
		return strings.Join(lines, "\n"), nil
	}
	text := make([]byte, n+2)
	_, err = io.ReadFull(r, text)
	return string(text[:n]), err
}
