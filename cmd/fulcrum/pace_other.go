//go:build !linux

package main

import "time"

// nap sleeps for up to a few milliseconds.
func nap(d time.Duration) { time.Sleep(d) }
