package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/internal/hist"
	"github.com/fulcrum-data/fulcrum/store"
)

// traffic is the demo's load: an open loop, so due times are fixed first and every
// response is measured from when it was due, however late it could be sent.
// Requests come in waves, as pages and jobs make them.
type traffic struct {
	reader  *fulcrum.Reader[store.Key, []byte]
	url     string // of the resource, for the share that goes through HTTP
	client  *http.Client
	users   int64 // keys are 1 to users, all equally likely
	rate    int   // keys per second
	seed    uint64
	forTime time.Duration // 0: until ctx ends

	started time.Time    // before run
	elapsed atomic.Int64 // ns of sending
	classes [3]tally     // by fulcrum.Class
	writes  tally        // changes, not keys
	calls   sync.WaitGroup
	errs    errorLog
}

// tally is what became of the requests of one class.
type tally struct {
	offered, answered, failed atomic.Uint64 // keys
	response                  hist.Histogram
}

// bulkKeys is how many keys a bulk request asks for.
const bulkKeys = 20

// stream is the waves of one class.
type stream struct {
	class fulcrum.Class
	share float64 // of all keys
	wave  float64 // mean number of keys that are due at the same moment
	http  int     // one request in so many goes through HTTP
	write bool    // rows are changed
	due   time.Duration
}

func streams() []*stream {
	return []*stream{
		{class: fulcrum.ClassNormal, share: .85, wave: 32, http: 50},
		{class: fulcrum.ClassBulk, share: .10, wave: bulkKeys, http: 10},
		{class: fulcrum.ClassUrgent, share: .05, wave: 1, http: 50},
		{share: .01, wave: 8, write: true}, // beside the others, all through HTTP
	}
}

// run sends until ctx ends or the time is up, and waits for the last answer.
func (t *traffic) run(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(t.seed, 0x74726166666963))
	all := streams()
	for _, s := range all {
		t.next(rnd, s)
	}
	for {
		s := soonest(all)
		if t.forTime > 0 && s.due >= t.forTime || !waitUntil(ctx, t.started.Add(s.due)) {
			break
		}
		t.send(rnd, s)
		t.elapsed.Store(int64(time.Since(t.started)))
		t.next(rnd, s)
	}
	t.calls.Wait()
}

// next moves a stream to its next wave. Waves are a Poisson process.
func (t *traffic) next(rnd *rand.Rand, s *stream) {
	perSecond := float64(t.rate) * s.share / s.wave
	s.due += time.Duration(rnd.ExpFloat64() / perSecond * float64(time.Second))
}

func soonest(all []*stream) *stream {
	first := all[0]
	for _, s := range all[1:] {
		if s.due < first.due {
			first = s
		}
	}
	return first
}

// send starts all requests of a wave.
func (t *traffic) send(rnd *rand.Rand, s *stream) {
	due := t.started.Add(s.due)
	tl := &t.classes[s.class]
	if s.class == fulcrum.ClassBulk {
		ids := make([]int64, bulkKeys)
		for i := range ids {
			ids[i] = 1 + rnd.Int64N(t.users)
		}
		tl.offered.Add(bulkKeys)
		t.start(due, tl, bulkKeys, pickCall(rnd, s, func() error { return t.getMany(ids) }, func() error { return t.batchGet(ids) }))
		return
	}
	n := 1
	if s.wave > 1 { // geometric
		n += int(math.Log(1-rnd.Float64()) / math.Log(1-1/s.wave))
	}
	if s.write {
		t.change(rnd, due, n)
		return
	}
	tl.offered.Add(uint64(n))
	for range n {
		id, class := 1+rnd.Int64N(t.users), s.class
		t.start(due, tl, 1, pickCall(rnd, s, func() error { return t.get(class, id) }, func() error { return t.fetch(class, id) }))
	}
}

// change has users move to another plan, all at once.
func (t *traffic) change(rnd *rand.Rand, due time.Time, n int) {
	t.writes.offered.Add(uint64(n))
	for range n {
		id, plan := 1+rnd.Int64N(t.users), pick(&maker{rnd}, plans)
		t.start(due, &t.writes, 1, func() error { return t.patch(id, plan) })
	}
}

func (t *traffic) patch(id int64, plan string) error {
	r, err := http.NewRequest(http.MethodPatch, t.url+"/"+strconv.FormatInt(id, 10), strings.NewReader(`{"plan":"`+plan+`"}`))
	if err != nil {
		return err
	}
	_, err = t.do(r)
	return err
}

func pickCall(rnd *rand.Rand, s *stream, inProcess, throughHTTP func() error) func() error {
	if rnd.IntN(s.http) == 0 {
		return throughHTTP
	}
	return inProcess
}

// start runs a call for so many keys on a goroutine of its own.
func (t *traffic) start(due time.Time, tl *tally, keys uint64, call func() error) {
	t.calls.Go(func() {
		err := call()
		tl.response.Record(time.Since(due))
		if err != nil {
			tl.failed.Add(keys)
			t.errs.add(err)
			return
		}
		tl.answered.Add(keys)
	})
}

// options of the classes, and their names in HTTP.
var classOptions = [...]fulcrum.Option{fulcrum.ClassNormal: fulcrum.Normal, fulcrum.ClassUrgent: fulcrum.Urgent, fulcrum.ClassBulk: fulcrum.Bulk}

func (t *traffic) get(class fulcrum.Class, id int64) error {
	row, err := t.reader.Get(context.Background(), keyOf(id), classOptions[class])
	if err != nil {
		return err
	}
	return checkRow(row, id)
}

func (t *traffic) getMany(ids []int64) error {
	keys := make([]store.Key, len(ids))
	for i, id := range ids {
		keys[i] = keyOf(id)
	}
	rows, err := t.reader.GetMany(context.Background(), keys, fulcrum.Bulk)
	for i, id := range ids {
		if err == nil {
			err = checkRow(rows[keys[i]], id)
		}
	}
	return err
}

func keyOf(id int64) store.Key { return store.Key(strconv.FormatInt(id, 10)) }

var errWrongRow = errors.New("the answer is another user's row")

// checkRow sees to it that a row is that of the user who was asked for.
func checkRow(row []byte, id int64) error {
	rest, ok := bytes.CutPrefix(row, []byte(`{"id":`))
	if !ok || !bytes.HasPrefix(rest, append(strconv.AppendInt(nil, id, 10), ',')) {
		return errWrongRow
	}
	return nil
}

// fetch is get through HTTP.
func (t *traffic) fetch(class fulcrum.Class, id int64) error {
	r, err := http.NewRequest(http.MethodGet, t.url+"/"+strconv.FormatInt(id, 10), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Fulcrum-Class", class.String())
	row, err := t.do(r)
	if err != nil {
		return err
	}
	return checkRow(row, id)
}

// batchGet is getMany through HTTP.
func (t *traffic) batchGet(ids []int64) error {
	body := []byte(`{"keys":[`)
	for _, id := range ids {
		body = append(strconv.AppendInt(body, id, 10), ',')
	}
	body = append(body[:len(body)-1], "]}"...)
	r, err := http.NewRequest(http.MethodPost, t.url+":batchGet", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Fulcrum-Class", "bulk")
	answer, err := t.do(r)
	if err == nil && !bytes.HasSuffix(answer, []byte(`"missing":[],"errors":{}}`)) {
		err = errors.New("rows are missing")
	}
	return err
}

func (t *traffic) do(r *http.Request) ([]byte, error) {
	res, err := t.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		err = fmt.Errorf("status %d: %s", res.StatusCode, body)
	}
	return body, err
}

// errorLog keeps the first few errors.
type errorLog struct {
	mu    sync.Mutex
	texts []string
}

const keptErrors = 3

func (l *errorLog) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.texts) < keptErrors {
		l.texts = append(l.texts, err.Error())
	}
}

func (l *errorLog) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.texts...)
}
