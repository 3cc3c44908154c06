// Package page shows a usage report as one HTML page that needs nothing else: the
// figures, a plot for each curve and the advice, on light and dark screens and in
// print.
package page
