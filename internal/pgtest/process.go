//go:build unix

package pgtest

import (
	"os"
	"os/exec"
	"runtime"
)

// A process is a running postmaster.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; readable once done is closed
}

// startProcess starts a command that ends when we do. The same goroutine
// starts and awaits it, locked to its thread: the kernel's parent-death signal
// fires when the forking thread ends, so that thread must live as long as the
// child does.
func startProcess(cmd *exec.Cmd) (*process, error) {
	dieWithParent(cmd)
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// pid is the postmaster's process id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// signal sends a signal through the handle, so never to a later process that
// happens to have the same id.
func (p *process) signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// ended says whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
