//go:build unix && !linux

package pgtest

import "os/exec"

// dieWithParent does nothing where the kernel offers no parent-death signal: a
// test process that is killed leaves its servers running there.
func dieWithParent(*exec.Cmd) {}
