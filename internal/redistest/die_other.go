//go:build unix && !linux

package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent gives it a process group of its own, and no more where the kernel has no
// parent-death signal.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
