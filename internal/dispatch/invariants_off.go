//go:build !invariants

package dispatch

// check does nothing without the invariants tag.
func (d *Dispatcher[K, P]) check() {}
