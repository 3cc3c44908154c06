// Package target holds what the bench can measure: an HTTP service ([HTTP]), or a
// database in this process through one of several strategies ([Store]).
package target
