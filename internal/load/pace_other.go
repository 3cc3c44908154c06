//go:build !linux

package load

import "time"

type napper struct{}

func newWaiter() waiter { return napper{} }

func (napper) wait(d time.Duration) { time.Sleep(d) }

func (napper) close() {}
