package beacon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/experience"
)

// message is what the script sends.
type message struct {
	ID           string             `json:"id"`   // of this beacon
	View         string             `json:"view"` // of the page that was seen
	Session      string             `json:"session"`
	Page         string             `json:"page"`
	Region       string             `json:"region"`
	Device       string             `json:"device"`
	Vitals       map[string]float64 `json:"vitals"` // seconds, but CLS
	Wait         float64            `json:"wait"`   // seconds
	Abandoned    bool               `json:"abandoned"`
	Satisfaction int                `json:"satisfaction"` // 0: not said
	Conversion   *conversion        `json:"conversion"`
	Answer       *answer            `json:"answer"`
}

type conversion struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// answer is what Server-Timing said of the slowest answer, in seconds.
type answer struct {
	Lane    string  `json:"lane"`
	Mode    string  `json:"mode"`
	Batch   int     `json:"batch"` // its requests; 0: not said
	Seconds float64 `json:"seconds"`
	Queue   float64 `json:"queue"`
	Service float64 `json:"service"`
}

// Bounds of what is believed.
const (
	maxSeconds = 3600
	maxShift   = 1000 // of CLS
	maxValue   = 1e12
	maxBatch   = 1_000_000
)

var (
	idForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	pageForm = regexp.MustCompile(`^[!-~]{0,200}$`)
	nameForm = regexp.MustCompile(`^[A-Za-z0-9 _.:-]{0,64}$`)
)

// parse reads a beacon. Its error says which field cannot be.
func parse(body []byte) (*message, error) {
	var m message
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("no beacon: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("no beacon: there is more after it")
	}
	return &m, m.check()
}

func (m *message) check() error {
	for _, f := range []struct {
		name, value string
		form        *regexp.Regexp
	}{
		{"id", m.ID, idForm}, {"view", m.View, idForm}, {"session", m.Session, idForm},
		{"page", m.Page, pageForm}, {"region", m.Region, nameForm}, {"device", m.Device, nameForm},
	} {
		if !f.form.MatchString(f.value) {
			return fmt.Errorf("%s: want %s", f.name, f.form)
		}
	}
	for name, v := range m.Vitals {
		vital, known := vitalNames[name]
		if !known {
			return errors.New("vitals: want TTFB, FCP, LCP, INP or CLS, not another name")
		}
		if limit := limitOf(vital); !within(v, limit) {
			return fmt.Errorf("vitals: %s: want 0 to %d", name, limit)
		}
	}
	if !within(m.Wait, maxSeconds) {
		return fmt.Errorf("wait: want 0 to %d seconds", maxSeconds)
	}
	if m.Satisfaction < 0 || m.Satisfaction > 5 {
		return errors.New("satisfaction: want 1 to 5")
	}
	return errors.Join(m.Conversion.check(), m.Answer.check())
}

func (c *conversion) check() error {
	if c == nil {
		return nil
	}
	if c.Name == "" || !nameForm.MatchString(c.Name) || !within(math.Abs(c.Value), maxValue) {
		return fmt.Errorf("conversion: want a name of %s and a value up to %g", nameForm, float64(maxValue))
	}
	return nil
}

func (a *answer) check() error {
	if a == nil {
		return nil
	}
	if !nameForm.MatchString(a.Lane) || !nameForm.MatchString(a.Mode) || !within(float64(a.Batch), maxBatch) || !within(a.Seconds, maxSeconds) || !within(a.Queue, maxSeconds) || !within(a.Service, maxSeconds) {
		return errors.New("answer: want lane, mode, batch and times in seconds")
	}
	return nil
}

func within(v float64, limit int) bool { return v >= 0 && v <= float64(limit) }

func limitOf(v experience.Vital) int {
	if v == experience.CLS {
		return maxShift
	}
	return maxSeconds
}

var vitalNames = func() map[string]experience.Vital {
	names := make(map[string]experience.Vital)
	for v := range experience.Vitals {
		names[v.String()] = v
	}
	return names
}()

// visit is a beacon as it is analysed.
func (m *message) visit() experience.Visit {
	v := experience.Visit{
		Region: m.Region, Device: m.Device, Wait: time.Duration(m.Wait * float64(time.Second)),
		Satisfaction: m.Satisfaction, Converted: m.Conversion != nil,
	}
	for i := range v.Vitals {
		v.Vitals[i] = math.NaN()
	}
	for name, value := range m.Vitals {
		v.Vitals[vitalNames[name]] = value
	}
	if m.Answer != nil {
		v.Lane, v.Mode, v.Batch = m.Answer.Lane, m.Answer.Mode, m.Answer.Batch
		v.Answer = time.Duration(m.Answer.Seconds * float64(time.Second))
	}
	return v
}
