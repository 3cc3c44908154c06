//go:build !long

package crashtest

// Of each kind of database; 200 in all.
const (
	committedRounds = 60
	journaledRounds = 40
)
