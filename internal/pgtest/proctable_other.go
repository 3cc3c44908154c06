//go:build unix && !linux

package pgtest

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// processTable asks ps.
func processTable() ([]entry, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,state=").Output()
	if err != nil {
		return nil, fmt.Errorf("pgtest: ps: %w", err)
	}
	var all []entry
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		pid, _ := strconv.Atoi(fields[0])
		parent, _ := strconv.Atoi(fields[1])
		all = append(all, entry{pid: pid, parent: parent, state: fields[2][0]})
	}
	return all, nil
}

// cpuOf is not available here.
func cpuOf(int) (time.Duration, bool) { return 0, false }
