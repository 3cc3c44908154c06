//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// freezeTimeout bounds the wait until every process has stopped.
const freezeTimeout = 10 * time.Second

// Kill ends the server as a crash would: every backend is gone at once,
// without a word to its client and without a checkpoint. It can be started
// again, and then recovers.
//
// The postmaster is frozen first, so that no backend can be born meanwhile. It
// then ends by itself, which frees the shared memory that a plain SIGKILL
// would leave behind.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return ErrNotRunning
	}
	if err := s.signalAll(syscall.SIGKILL); err != nil {
		return errors.Join(err, s.thaw())
	}
	err := errors.Join(s.process.signal(syscall.SIGQUIT), s.process.signal(syscall.SIGCONT))
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("pgtest: %w", err)
	}
	s.guard.release()
	s.guard = nil
	return s.awaitEnd()
}

// Pause freezes the server: its port accepts connections, because the kernel
// does, and nothing answers. Pausing a paused server does nothing.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return ErrNotRunning
	}
	if s.guard != nil {
		return nil
	}
	if err := s.signalAll(syscall.SIGSTOP); err != nil {
		return errors.Join(err, s.thaw())
	}
	children, err := childrenOf(s.process.pid())
	if err == nil {
		s.guard, err = newGuard(s.process.pid(), children)
	}
	if err != nil {
		return errors.Join(err, s.thaw())
	}
	return nil
}

// Resume lets a paused server go on where it was. It does nothing to one that
// is not paused.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resume()
}

// resume is Resume for those who hold mu.
func (s *Server) resume() error {
	if s.guard == nil {
		return nil
	}
	err := s.thaw()
	s.guard.release()
	s.guard = nil
	return err
}

// thaw continues the children, then the postmaster.
func (s *Server) thaw() error {
	children, err := childrenOf(s.process.pid())
	if err != nil {
		return err
	}
	for _, c := range children {
		if err := syscall.Kill(c.pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("pgtest: %w", err)
		}
	}
	if err := s.process.signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

// signalAll freezes the postmaster, sends its children a signal that stops or
// ends them, and returns when none of them runs any more. As long as the
// postmaster is frozen it has no new children, and the ids of dead ones are
// not given to others, because it cannot reap them.
func (s *Server) signalAll(sig syscall.Signal) error {
	if err := s.process.signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	err := eventually(func() (bool, error) {
		e, ok := find(s.process.pid())
		return ok && e.stopped(), nil
	})
	if err != nil {
		return err
	}
	return eventually(func() (bool, error) {
		children, err := childrenOf(s.process.pid())
		if err != nil {
			return false, err
		}
		quiet := true
		for _, c := range children {
			if c.state == 'Z' || c.state == 'T' && sig == syscall.SIGSTOP {
				continue
			}
			quiet = false
			if err := syscall.Kill(c.pid, sig); err != nil {
				return false, fmt.Errorf("pgtest: %w", err)
			}
		}
		return quiet, nil
	})
}

// eventually asks until the answer is yes. The kernel offers no event for the
// change of a grandchild, so it has to ask.
func eventually(yes func() (bool, error)) error {
	deadline := time.Now().Add(freezeTimeout)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		if ok, err := yes(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("pgtest: the server's processes did not stop in %v", freezeTimeout)
		}
		<-poll.C
	}
}

// A guard thaws a frozen server if we die before we could: a shell that reads
// from a pipe which only we hold open. Thawed, the postmaster finds the
// parent-death signal waiting and shuts down.
type guard struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

func newGuard(postmaster int, children []entry) (*guard, error) {
	args := []string{"-c", `read _; kill -CONT "$@"`, "guard", strconv.Itoa(postmaster)}
	for _, c := range children {
		args = append(args, strconv.Itoa(c.pid))
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	return &guard{cmd: cmd, pipe: pipe}, nil
}

// release ends the guard before it can act. A nil guard has nothing to end.
func (g *guard) release() {
	if g == nil {
		return
	}
	g.cmd.Process.Kill()
	g.cmd.Wait() // always "signal: killed"
	g.pipe.Close()
}
