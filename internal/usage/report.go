package usage

// Report is what was found. Its fields and their JSON names are those of
// `fulcrum analyze --json`. What is not known is null.
type Report struct {
	Format         string      `json:"format"`
	Requests       uint64      `json:"requests"`
	Skipped        uint64      `json:"skipped_lines"`
	Seconds        *float64    `json:"seconds"`            // from the first to the last request
	Resolution     *float64    `json:"resolution_seconds"` // of the times
	Peak           Peak        `json:"peak"`
	Burst          Burst       `json:"burst"`
	Shape          *Shape      `json:"shape"`
	Latency        Latency     `json:"latency_seconds"`
	Apdex          Apdex       `json:"apdex"`
	Patience       *Patience   `json:"patience"`
	Together       []Together  `json:"together"`
	MultiKey       MultiKey    `json:"multi_key"`
	NPlusOne       *NPlusOne   `json:"n_plus_one"`
	Clients        Clients     `json:"clients"`
	Keys           Keys        `json:"keys"`
	MissRatioCurve []MissRatio `json:"miss_ratio_curve"`
	Advice         []Advice    `json:"advice"`
	NotAdvised     []Advice    `json:"not_advised"` // what was looked at, and why it is not advised
	Notes          []string    `json:"notes"`       // what the report does not say, and why

	felt *Felt
}

// Peak has the most requests per second over windows of three lengths.
type Peak struct {
	RPS1  *float64 `json:"rps_1s"`
	RPS10 *float64 `json:"rps_10s"`
	RPS60 *float64 `json:"rps_60s"`
}

// Burst has the index of dispersion of counts (variance by mean) in windows of three
// lengths, and the coefficient of variation of the times between requests. All are 1
// for a Poisson process.
type Burst struct {
	Dispersion1  *float64 `json:"dispersion_1s"`
	Dispersion10 *float64 `json:"dispersion_10s"`
	Dispersion60 *float64 `json:"dispersion_60s"`
	CV           *float64 `json:"interarrival_cv"`
}

// Shape has the shares of requests in each hour of the day and each day of the week,
// UTC, from Monday.
type Shape struct {
	Hours [24]float64 `json:"hour_of_day"`
	Days  [7]float64  `json:"day_of_week"`
}

// Latency has quantiles in seconds; null if fewer than ten requests lie beyond.
type Latency struct {
	Samples uint64   `json:"samples"`
	P50     *float64 `json:"p50"`
	P95     *float64 `json:"p95"`
	P99     *float64 `json:"p99"`
}

// Apdex is the application performance index, from 0 to 1.
type Apdex struct {
	Threshold float64  `json:"threshold_seconds"`
	Score     *float64 `json:"score"`
}

// Interval is an estimate with its interval of 95 %.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Patience is how long people wait before they leave.
type Patience struct {
	Requests  uint64      `json:"requests"`  // with a duration, bots left out
	Abandoned uint64      `json:"abandoned"` // callers who left, time-outs left out
	Timeouts  uint64      `json:"timeouts"`  // cancellations at whole seconds
	Bots      uint64      `json:"bots"`
	Hazard    *Interval   `json:"hazard_per_second"` // chance to leave, for each second of waiting
	Wait5     *float64    `json:"wait_5_percent_leave_seconds"`
	Wait5Low  *float64    `json:"wait_5_percent_leave_low_seconds"`
	Wait5High *float64    `json:"wait_5_percent_leave_high_seconds"`
	Survival  []Survivors `json:"survival"`
}

// Survivors is the share of people who would still wait, with its interval of 95 %.
type Survivors struct {
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
}

// Together says how much company a request has within a window.
type Together struct {
	Window     float64 `json:"window_seconds"`
	MeanBatch  float64 `json:"mean_batch"`
	Clustering float64 `json:"clustering"`          // mean batch by that of a Poisson process
	AddedDelay float64 `json:"added_delay_seconds"` // mean wait for the window's end
}

// MultiKey counts requests that ask for several keys already.
type MultiKey struct {
	Requests uint64  `json:"requests"`
	Share    float64 `json:"share"`
}

// NPlusOne says how often clients ask for many rows one by one.
type NPlusOne struct {
	Runs       uint64   `json:"runs"`     // of requests of one client to one kind of path
	Long       uint64   `json:"long"`     // of them with at least five requests
	Requests   uint64   `json:"requests"` // in those
	Rate       Interval `json:"rate"`     // long by all
	Path       string   `json:"path,omitempty"`
	TopRuns    uint64   `json:"path_runs,omitempty"`
	MeanLength float64  `json:"path_mean_length,omitempty"`
}

// Clients are who asks.
type Clients struct {
	Distinct *uint64 `json:"distinct"`
}

// Keys are what is asked for.
type Keys struct {
	Distinct uint64     `json:"distinct"`
	OneHit   *float64   `json:"one_hit_ratio"` // share of keys with one request
	ZipfS    *float64   `json:"zipf_s"`
	ZipfLow  *float64   `json:"zipf_s_low"` // interval of 95 %, if a Zipf law fits all keys
	ZipfHigh *float64   `json:"zipf_s_high"`
	ZipfOf   string     `json:"zipf_of,omitempty"`     // "all keys", or "head": those with 20 requests and more
	ZipfFit  string     `json:"zipf_fit,omitempty"`    // "zipf" or "not zipf"
	Misfit   *float64   `json:"zipf_misfit,omitempty"` // largest difference of cumulated shares
	Cover80  *uint64    `json:"cover_80_percent"`      // keys that 80 % of the requests ask for
	Sampled  bool       `json:"sampled"`
	Top      []KeyCount `json:"top"`
}

// KeyCount is a key and how often it was asked for.
type KeyCount struct {
	Key   string `json:"key"`
	Count uint64 `json:"count"`
	Over  uint64 `json:"over,omitempty"` // the count may be too high by so much
}

// MissRatio is the share of requests that an LRU cache of so many entries would miss.
type MissRatio struct {
	Entries uint64  `json:"entries"`
	Ratio   float64 `json:"miss_ratio"`
}

// Advice is one setting, with why.
type Advice struct {
	Setting  string `json:"setting"`
	Value    string `json:"value"`
	Evidence string `json:"evidence"`
	Gain     string `json:"predicted_gain"`
}
