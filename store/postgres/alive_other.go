//go:build !unix

package postgres

import "github.com/jackc/pgx/v5"

// reachable cannot be asked for here.
func reachable(*pgx.Conn) bool { return true }
