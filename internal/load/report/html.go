package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/load/curve"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Parse(page))

// WriteHTML writes one page that needs nothing else: the figure, the answers, and a
// table of every step, invalid ones with their reason. It can be read on light and
// dark screens and in print. Its error is one of w.
func WriteHTML(w io.Writer, r Report) error {
	v := view{
		Title: clean(r.Title), Machine: clean(r.Machine),
		Figure: template.HTML(layOut(r, true).svg("Response time over throughput", true)), // escaped there
		Dark:   template.CSS(darkInks()),
		Inks:   inksOf(len(r.Curves)),
	}
	for _, s := range r.Settings {
		v.Settings = append(v.Settings, clean(s))
	}
	if !r.Begun.IsZero() {
		v.Begun = r.Begun.UTC().Format(time.RFC3339)
	}
	if r.SLO.Limit > 0 {
		v.SLO = r.SLO.String()
	}
	columns := columnsOf(r.Curves)
	for i, c := range r.Curves {
		if c.Result != nil {
			v.Answers = append(v.Answers, answersOf(c, lookOf(i).ink))
		}
		v.Tables = append(v.Tables, tableOf(c, columns))
	}
	return pageTemplate.Execute(w, v)
}

// view is what the page is made of.
type view struct {
	Title, Machine, Begun, SLO string

	Settings []string
	Figure   template.HTML
	Dark     template.CSS
	Inks     []inkStyle
	Answers  []answers
	Tables   []table
}

// inkStyle is a colour of the curves for the table.
type inkStyle struct {
	N           ink
	Light, Dark template.CSS
}

func inksOf(curves int) []inkStyle {
	var all []inkStyle
	for k := series; int(k) < min(len(palette), int(series)+curves); k++ {
		all = append(all, inkStyle{k, template.CSS(hex(palette[k].light)), template.CSS(hex(palette[k].dark))})
	}
	return all
}

// answers of the analysis of one curve, each a number or why there is none.
type answers struct {
	Name             string
	Ink              ink
	SLO, Power, Knee cell
	Capacity         cell
	Gamma, Alpha     cell
	Beta             cell
}

// cell is a text, and what is shown under the pointer and printed below it.
type cell struct {
	Text, Note string
}

func answersOf(c Curve, k ink) answers {
	r := c.Result
	a := answers{
		Name: clean(c.Name), Ink: k,
		SLO: rateOr(r.SLORate, "none"), Power: rateOr(r.PowerRate, "none"), Knee: rateOr(r.KneeRate, "none"),
		Capacity: cell{"none", clean(r.NoUSL)}, Gamma: cell{Text: "–"}, Alpha: cell{Text: "–"}, Beta: cell{Text: "–"},
	}
	a.SLO.Note = clean(r.SLOLimit)
	if r.KneeRate == 0 {
		a.Knee.Note = clean(r.NoKnee)
	}
	if u := r.USL; u != nil {
		a.Capacity = cell{Text: perSecond(r.Capacity)}
		if math.IsInf(r.Capacity, 1) {
			a.Capacity = cell{"none in sight", "throughput grew in proportion to the concurrency"}
		} else if n := u.Peak(); !math.IsInf(n, 1) {
			a.Capacity.Note = fmt.Sprintf("at a concurrency of %s", digits(n))
		}
		a.Gamma, a.Alpha, a.Beta = estimate(u.Gamma), estimate(u.Alpha), estimate(u.Beta)
	}
	return a
}

func rateOr(v float64, otherwise string) cell {
	if v > 0 {
		return cell{Text: perSecond(v)}
	}
	return cell{Text: otherwise}
}

func estimate(e curve.Estimate) cell {
	if e.Held {
		return cell{"0", "no evidence for it"}
	}
	return cell{fmt.Sprintf("%.4g", e.Value), fmt.Sprintf("%.4g to %.4g", e.Low, e.High)}
}

// table of all steps of one curve.
type table struct {
	Name    string
	Columns []column
	Rows    []row
}

// row is a step: a cell for each column or, from some column on, why there is none.
type row struct {
	Load   string
	Cells  []string
	Reason string
	Span   int // columns that the reason takes the place of
}

// column of the table.
type column struct {
	Head, Unit, Title string

	always bool // it tells of the load, not of the target: invalid steps show it too
	value  func(Step) string
}

var allColumns = []column{
	{"sent", "/s", "what the generator sent", true, func(s Step) string { return grouped(s.SentRate()) }},
	{"failed", "", "answered with an error", true, func(s Step) string { return count(s.Failed) }},
	{"censored", "", "without an answer at the end, or not sent at all: counted with the time they had taken", true, func(s Step) string { return count(s.Censored) }},
	{"throughput", "/s", "good answers", false, func(s Step) string { return grouped(s.Throughput()) }},
	{"mean", "ms", "response time, from due to answer", false, func(s Step) string { return ms(s.Response.Mean()) }},
	quantileColumn(.5), quantileColumn(.95), quantileColumn(.99),
	{"max", "ms", "response time; at least, if requests were censored", false, largest},
	{"service p99", "ms", "from sent to answer", false, func(s Step) string {
		return quantileCell(s.Service.Quantile(.99), s.Service.Sufficient(.99))
	}},
	{"lag p99", "ms", "from due to sent: the generator's own delay, and the wait for a free connection", false, func(s Step) string {
		return quantileCell(s.Lag.Quantile(.99), s.Lag.Sufficient(.99))
	}},
}

// targetColumns are shown if any step has a value.
var targetColumns = []column{
	{"queries", "/s", "sent to the database", false, func(s Step) string { return known(s.QueriesPerSecond, grouped) }},
	{"rows per query", "", "how many keys share a query", false, func(s Step) string { return known(s.RowsPerQuery, aligned) }},
	{"db CPU per key", "µs", "processor time of the database", false, func(s Step) string {
		return known(s.CPUPerKey.Seconds()*1e6, aligned)
	}},
}

const unknown = "–"

func known(v float64, write func(float64) string) string {
	if v > 0 {
		return write(v)
	}
	return unknown
}

func quantileColumn(q float64) column {
	return column{quantileName(q), "ms", "response time, from due to answer", false, func(s Step) string { return quantileCell(s.quantile(q)) }}
}

func quantileCell(d time.Duration, known bool) string {
	if !known {
		return "too few"
	}
	return ms(d)
}

// largest counts what was censored with the time that is known.
func largest(s Step) string {
	if s.Least.Max() > s.Response.Max() {
		return "≥ " + ms(s.Least.Max())
	}
	return ms(s.Response.Max())
}

func columnsOf(curves []Curve) []column {
	columns := allColumns[:len(allColumns):len(allColumns)]
	for _, c := range targetColumns {
		if anyStep(curves, func(s Step) bool { return c.value(s) != unknown }) {
			columns = append(columns, c)
		}
	}
	return columns
}

func anyStep(curves []Curve, is func(Step) bool) bool {
	for _, c := range curves {
		for _, s := range c.Steps {
			if is(s) {
				return true
			}
		}
	}
	return false
}

func tableOf(c Curve, columns []column) table {
	t := table{Name: clean(c.Name), Columns: columns}
	for _, s := range c.sorted() {
		r := row{Load: loadCell(s), Reason: clean(s.Verdict())}
		for _, col := range columns {
			if r.Reason != "" && !col.always {
				r.Span++
				continue
			}
			r.Cells = append(r.Cells, col.value(s))
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func loadCell(s Step) string {
	if s.Callers > 0 {
		return plural(s.Callers, "caller") + ", closed loop"
	}
	return grouped(s.offered())
}

// ms writes a duration in milliseconds with three digits.
func ms(d time.Duration) string { return aligned(d.Seconds() * 1e3) }

func count(n uint64) string { return groups(strconv.FormatUint(n, 10)) }

// grouped rounds to integers from 100 on.
func grouped(v float64) string { return groups(digits(v)) }

// groups puts a narrow space between each three digits of an integer.
func groups(s string) string {
	if strings.ContainsAny(s, ".eE-+") {
		return s
	}
	var b strings.Builder
	for i, d := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(d)
	}
	return b.String()
}
