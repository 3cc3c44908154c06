package pgtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc (USER_HZ, 100 per second on Linux).
const tick = 10 * time.Millisecond

// processTable reads /proc.
func processTable() ([]entry, error) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	var all []entry
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		if fields, ok := statOf(pid); ok {
			parent, _ := strconv.Atoi(fields[1])
			all = append(all, entry{pid: pid, parent: parent, state: fields[0][0]})
		}
	}
	return all, nil
}

// statOf returns the fields of /proc/PID/stat from the third on (state,
// parent, …), and false if the process is gone. The second field is a name in
// parentheses which may itself hold blanks and parentheses.
func statOf(pid int) ([]string, bool) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, false
	}
	text := string(raw)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	return fields, len(fields) > 14
}

// times returns a process's own processor time and that of the children it
// has already reaped (fields utime, stime, cutime and cstime).
func times(pid int) (own, reaped time.Duration, ok bool) {
	fields, ok := statOf(pid)
	if !ok {
		return 0, 0, false
	}
	var t [4]time.Duration
	for i := range t {
		n, err := strconv.ParseInt(fields[11+i], 10, 64)
		if err != nil {
			return 0, 0, false
		}
		t[i] = time.Duration(n) * tick
	}
	return t[0] + t[1], t[2] + t[3], true
}

// cpuOf sums the processor time of a process and all its children, living and
// reaped. A child that ends in between would be counted twice or not at all,
// so it reads again until the reaped time stood still.
func cpuOf(pid int) (time.Duration, bool) {
	const attempts = 10
	var sum time.Duration
	for range attempts {
		own, reaped, ok := times(pid)
		if !ok {
			return 0, false
		}
		children, err := childrenOf(pid)
		if err != nil {
			return 0, false
		}
		sum = own + reaped
		for _, c := range children {
			o, r, _ := times(c.pid)
			sum += o + r
		}
		if _, again, ok := times(pid); ok && again == reaped {
			break
		}
	}
	return sum, true
}
