//go:build unix

package pgtest

// An entry is one line of the process table.
type entry struct {
	pid, parent int
	state       byte // 'T' while stopped by a signal, 'Z' once dead and unreaped
}

// stopped says whether the process cannot run any more, for now or for good.
func (e entry) stopped() bool { return e.state == 'T' || e.state == 'Z' }

// childrenOf lists a process's direct children. PostgreSQL's are all direct.
func childrenOf(pid int) ([]entry, error) {
	all, err := processTable()
	if err != nil {
		return nil, err
	}
	var children []entry
	for _, e := range all {
		if e.parent == pid {
			children = append(children, e)
		}
	}
	return children, nil
}

// find returns the entry of a process.
func find(pid int) (entry, bool) {
	all, _ := processTable()
	for _, e := range all {
		if e.pid == pid {
			return e, true
		}
	}
	return entry{}, false
}
