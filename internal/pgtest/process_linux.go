package pgtest

import (
	"os/exec"
	"syscall"
)

// dieWithParent asks the kernel to send SIGQUIT, PostgreSQL's immediate
// shutdown, when the thread that starts the command ends. Unlike SIGKILL it
// lets the postmaster take its children and its shared memory along.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
}
