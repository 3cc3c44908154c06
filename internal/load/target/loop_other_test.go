//go:build !linux

package target

import "github.com/fulcrum-data/fulcrum/internal/load"

// looped has callers ask: there is no loop.
func looped(h *HTTP) load.Target { return h }
