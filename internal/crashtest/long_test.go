//go:build long

package crashtest

// Of each kind of database; 2,000 in all.
const (
	committedRounds = 600
	journaledRounds = 400
)
