// Package regret compares tuners with the best that a fixed number of batches in
// flight can do, in simulation, over a grid of backends and loads and a set of
// scenarios in which something moves.
package regret
