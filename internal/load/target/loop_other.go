//go:build !linux

package target

import (
	"context"

	"github.com/fulcrum-data/fulcrum/internal/load"
)

// loop is for Linux.
type loop struct{}

func (*HTTP) dropLoop() {}

// Loop is nil: requests are sent by callers.
func (*HTTP) Loop(context.Context, func(load.Answer)) load.Loop { return nil }
