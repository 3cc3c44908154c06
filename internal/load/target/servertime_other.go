//go:build !linux

package target

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// serverTime is not known here.
type serverTime struct{}

func findServer(context.Context, *pgx.ConnConfig) serverTime { return serverTime{} }

func (serverTime) used() (time.Duration, bool) { return 0, false }
