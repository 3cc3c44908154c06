package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/fulcrum-data/fulcrum/internal/beacon"
	"github.com/fulcrum-data/fulcrum/internal/gateway"
	"github.com/fulcrum-data/fulcrum/store/sqlite"
)

// told has a gateway that three hundred visits were told to: who waits longer buys less.
func told(t *testing.T, visits int) string {
	t.Helper()
	path := t.TempDir() + "/profiles.db"
	if err := makeProfiles(t.Context(), t.Output(), path, 10, 1); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := gateway.Config{DB: db, Experience: &beacon.Config{Rate: 1e6}}
	c.Resources = append(c.Resources, usersResource)
	g, err := gateway.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range visits {
		conversion := ""
		if i%10 < 8-i%5 {
			conversion = `,"conversion":{"name":"checkout","value":1}`
		}
		id := fmt.Sprintf("00000000-0000-4000-8000-%012x", i)
		body := fmt.Sprintf(`{"id":%q,"view":%q,"session":%q,"region":"europe","vitals":{"TTFB":0.2,"CLS":0.01},"wait":%d,"satisfaction":4,"answer":{"lane":"normal","seconds":%[4]d}%[5]s}`, id, id, id, 1+i%5, conversion)
		r := httptest.NewRequest(http.MethodPost, "http://shop.test/v1/experience", strings.NewReader(body))
		r.Header.Set("Origin", "http://shop.test")
		w := httptest.NewRecorder()
		if g.Data().ServeHTTP(w, r); w.Code != http.StatusNoContent {
			t.Fatal(w.Code, w.Body)
		}
	}
	s := httptest.NewServer(g.Admin())
	t.Cleanup(s.Close)
	return s.URL
}

func TestExperience(t *testing.T) {
	for _, c := range []struct {
		visits int
		args   []string
		want   []string
	}{
		{0, nil, []string{"0 visits kept", "Nobody has told anything yet"}},
		{300, nil, []string{"300 visits kept; of all: 300 beacons taken, 0 refused", "region europe", "200 ms good", "0.01 good", "1.00 to 2.00 s", "100ms cost", "association", "ten hits and ten misses", "0 visits began"}},
		{1, []string{"--json"}, []string{`{"beacons":{"accepted_total":1,`}},
	} {
		code, stdout, stderr := try(t.Context(), append([]string{"experience", "--admin", told(t, c.visits)}, c.args...)...)
		if code != 0 || stderr != "" {
			t.Errorf("code %d, stderr %q", code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("no %q in\n%s", want, stdout)
			}
		}
	}
}

func TestExperienceErrors(t *testing.T) {
	answering := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	for admin, want := range map[string]string{
		"localhost":              "want the address of an admin listener",
		"http://127.0.0.1:1":     "--admin: ",
		answering(404, ""):       "experience: {} in its configuration",
		answering(500, ""):       "answered 500",
		answering(200, "<html>"): "is no gateway",
	} {
		if code, _, stderr := try(t.Context(), "experience", "--admin", admin); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, stderr %q", admin, code, stderr)
		}
	}
}

// Where visits are kept is opened, made if need be, or refused with its place in the file.
func TestExperienceKeep(t *testing.T) {
	dir := t.TempDir()
	profiles := dir + "/profiles.db"
	if err := makeProfiles(t.Context(), t.Output(), profiles, 10, 1); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ keep, want string }{
		{dir + "/visits.db", ""},
		{dir + "/visits.db", ""}, // again
		{"store", "experience.keep: where beacons are kept: "},
		{dir + "/none/visits.db", "experience.keep: "},
		{dir, "experience.keep: "},
	} {
		file := dir + "/fulcrum.yaml"
		text := fmt.Sprintf("store: sqlite:%s\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nexperience: {keep: %q}\nresources: {users: {table: users, key: id, columns: [id, name]}}\n", profiles, c.keep)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		opened, _, err := configure(t.Context(), file, t.Output(), false)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.keep, err, c.want)
			}
			continue
		}
		if err != nil || opened.visits == nil {
			t.Fatalf("%s: %v", c.keep, err)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An analysis counts what people were seen to put up with.
func TestAnalyzeCountsExperience(t *testing.T) {
	admin := told(t, 3000)
	log := t.TempDir() + "/access.log"
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, `{"time":"2026-01-01T00:00:%02d.%03dZ","path":"/v1/users/%d","status":200,"seconds":4.5}`+"\n", i/50%60, i%50*20, i)
	}
	if err := os.WriteFile(log, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{log, "--format", "json"}, "", exitDone},
		{[]string{log, "--format", "json", "--experience", admin}, "# slo: {p99: 3s}", exitDone},
		{[]string{log, "--format", "json", "--experience", "localhost"}, "--experience: ", exitFailed},
		{[]string{log, "--format", "json", "--experience", "http://127.0.0.1:1"}, "is that the admin listener?", exitFailed},
	} {
		code, stdout, stderr := try(t.Context(), append([]string{"analyze"}, c.args...)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) || c.want == "" && strings.Contains(stdout, "slo:") {
			t.Errorf("%v: code %d\n%s%s", c.args, code, stdout, stderr)
		}
	}
}
