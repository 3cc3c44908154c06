// Package report shows what a run of package load found: a plot ([WritePlot]), a
// page ([WriteHTML]) and an HdrHistogram log ([WriteHDR]).
//
// # What is drawn
//
// Response time over throughput, the curves of all strategies over one another,
// with a panel for each quantile. The large one is that of the SLO. Below it, a
// row for each strategy marks how far it goes: its SLO rate, power point and knee.
//
//	p99   |               ╱        x   offered, but not answered so that it counts
//	      |- - - - - - - ◯ - - - - - - SLO
//	      |   ___.---◇--'
//	      +-------------------------
//	fulcrum ──────────◇──◯       x
//	       0   2 k/s   4 k/s   6 k/s
//
// # What is not told
//
// A step with a verdict has no numbers of the target: it is a cross at the load
// that was offered, and its reason is written beside. A quantile with fewer than
// ten responses beyond it is left out too.
//
// # One drawing, two formats
//
// The figure is laid out once, as lines, areas and texts, and then written as SVG
// or rasterised as PNG. So both show the same, and the SVG can follow the reader's
// light or dark screen and say each point's numbers where the pointer is.
package report
