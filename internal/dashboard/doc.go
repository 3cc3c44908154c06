// Package dashboard is the page on which people see a gateway: how loaded it is, which
// mode holds and why, what users wait, and what would help.
//
// All of it is embedded and nothing is built: plain modules, one style sheet, and
// uPlot, whose licence lies beside it in web/vendor. The page reads what every client
// can read, /api/v1/stats/stream and /api/v1/events, and acts through /api/v1/mode.
//
//	live.js      the stream, and what happens when it is cut off
//	figures.js   figures that follow from the statistics: capacity, load, history
//	advice.js    the same in sentences
//	view.js      cards, tables and the timeline
//	charts.js    the charts
//	pin.js       the dialog that pins a mode
package dashboard
