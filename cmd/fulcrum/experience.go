package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fulcrum-data/fulcrum/internal/gateway"
	"github.com/fulcrum-data/fulcrum/internal/usage"
)

// experienceCommand is fulcrum experience.
type experienceCommand struct {
	Admin string `help:"Address of a gateway's admin listener." default:"http://127.0.0.1:8081" placeholder:"URL"`
	JSON  bool   `help:"Print what the gateway says, as it is." name:"json"`
}

// Run asks a gateway what people feel, and prints it.
func (c *experienceCommand) Run(t terminal) error {
	body, err := askExperience(t.ctx, c.Admin)
	if err != nil {
		return fmt.Errorf("experience: --admin: %w", err)
	}
	if c.JSON {
		_, err = t.stdout.Write(body)
		return err
	}
	var e gateway.Experience
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("experience: %s is no gateway: %w", c.Admin, err)
	}
	return printExperience(t.stdout, e)
}

// errNotFelt says that a gateway is not told what people feel.
var errNotFelt = errors.New("it does not ask what people feel: write experience: {} in its configuration")

// askExperience asks a gateway's admin listener what people feel.
func askExperience(ctx context.Context, admin string) ([]byte, error) {
	u, err := url.Parse(admin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q: want the address of an admin listener, such as http://127.0.0.1:8081", admin)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(admin, "/")+"/api/v1/experience", nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 30 * time.Second}
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w; is that the admin listener?", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s: %w", admin, errNotFelt)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", admin, res.Status)
	}
	return body, nil
}

// feel tells an analysis what people were seen to put up with.
func (c *analyzeCommand) feel(ctx context.Context, a *usage.Analyzer) error {
	admin := c.Experience
	if admin == "" {
		admin = strings.TrimSuffix(c.Live, usageStream)
	}
	if admin == "" {
		return nil
	}
	body, err := askExperience(ctx, admin)
	if c.Experience == "" && err != nil { // nobody has asked for it
		return nil
	}
	if err != nil {
		return err
	}
	var e gateway.Experience
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("%s is no gateway: %w", admin, err)
	}
	a.Feel(e.Felt())
	return nil
}

func printExperience(out io.Writer, e gateway.Experience) error {
	refused := uint64(0)
	for _, n := range e.Beacons.Refused {
		refused += n
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d visits kept; of all: %d beacons taken, %d refused, %d visits left before the page was usable\n", e.Beacons.Kept, e.Beacons.Accepted, refused, e.Beacons.Abandoned)
	if e.All == nil {
		fmt.Fprintln(w, "Nobody has told anything yet: put <script src=\"…/fulcrum.js\"></script> into a page.")
		return w.Flush()
	}
	fmt.Fprintln(w, "\nwho\tvisits\tApdex\tTTFB p75\tFCP\tLCP\tINP\tCLS")
	for _, p := range slices.Concat([]gateway.ExperiencePart{*e.All}, e.Parts) {
		fmt.Fprintf(w, "%s\t%d\t%.2f", strings.TrimSpace(p.Dimension+" "+p.Value+" "), p.Visits, p.Apdex)
		for _, name := range []string{"TTFB", "FCP", "LCP", "INP", "CLS"} {
			fmt.Fprint(w, "\t", vitalText(name, p.Vitals))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "\nwaited\tvisits\tconverted\tsatisfied")
	for _, b := range e.Buckets {
		fmt.Fprintf(w, "%.2f to %.2f s\t%d\t%s\t%s\n", b.From, b.To, b.Conversions.Of, rangeText(b.Conversions), rangeText(b.Satisfaction))
	}
	fmt.Fprintf(w, "\nconversions: %s\nsatisfaction: %s\n", effectText(e.Conversions), effectText(e.Satisfaction))
	fmt.Fprintf(w, "%d visits began and told nothing: the share of conversions is between %.1f %% and %.1f %%\n", e.Missing.Visits, e.Missing.Low*100, e.Missing.High*100)
	return w.Flush()
}

func vitalText(name string, all map[string]gateway.ExperienceVital) string {
	v, there := all[name]
	switch {
	case !there:
		return "-"
	case name == "CLS":
		return fmt.Sprintf("%.2f %s", v.P75, v.Rating)
	}
	return fmt.Sprintf("%.0f ms %s", v.P75*1000, v.Rating)
}

func rangeText(s gateway.ExperienceShare) string {
	if s.Of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %% [%.1f, %.1f]", s.Value*100, s.Low*100, s.High*100)
}

func effectText(e *gateway.ExperienceEffect) string {
	text := fmt.Sprintf("%s, trend with waiting z %.2f (p %.3f)", rangeText(e.Share), e.Trend, e.P)
	if e.Cost != "" {
		return text + "; " + e.Cost
	}
	return text + "; " + strings.TrimPrefix(e.NoCost, "experience: ")
}
