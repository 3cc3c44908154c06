package region

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestOpenGeo(t *testing.T) {
	dir := t.TempDir()
	file := geoFile(t, map[string]string{"81.2.69.0/24": "GB"})
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := OpenGeo(file)
	if err != nil || g.File() != file || g.Kind() != "Test-City" {
		t.Fatalf("%+v %v", g, err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":     {nil, "is no MaxMind database"},
		"text":      {[]byte(strings.Repeat("hello", 100)), "is no MaxMind database"},
		"half":      {whole[:len(whole)/2], ""},
		"no places": {nil, "it knows no countries"},
	} {
		path := filepath.Join(dir, name)
		data := c.data
		if name == "no places" {
			data, _ = os.ReadFile(geoFile(t, map[string]string{"81.2.69.0/24": ""}))
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenGeo(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenGeo(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there was opened")
	}
}

// A database that is written over while it is used harms nobody.
func TestGeoFileMayChange(t *testing.T) {
	file := geoFile(t, map[string]string{"81.2.69.0/24": "GB"})
	g, err := OpenGeo(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	table := newTable(t, Config{Regions: four(), Geo: g})
	if r, _ := table.Find(stranger, nil); r.Name != "europe" {
		t.Error(r.Name)
	}
}

// What the memo remembers is what the database says, however many ask at once and
// however many records share a slot.
func TestMemo(t *testing.T) {
	networks := map[string]string{}
	countries := []string{"DE", "US", "JP", "AQ", "BR", "AU", "ZA", "US-CA"}
	for i := range 6000 {
		networks[fmt.Sprintf("%d.%d.%d.0/24", 20+i/2500, i/10%250, i%10)] = countries[i%len(countries)]
	}
	g, err := OpenGeo(geoFile(t, networks))
	if err != nil {
		t.Fatal(err)
	}
	table := newTable(t, Config{Regions: four(), Geo: g})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for network := range networks {
				a := netip.MustParsePrefix(network).Addr()
				want, _, _ := table.locate(a)
				if got := table.recall(a); got != want {
					t.Errorf("%s: %v, want %v", a, got, want)
				}
			}
		})
	}
	wg.Wait()
	var m memo
	if _, ok := m.get(0); ok {
		t.Error("an empty memo remembers")
	}
	m.set(0, 0)
	if i, ok := m.get(0); !ok || i != 0 {
		t.Error("none is not remembered")
	}
}

// ways are the common ways a request's region is found.
func ways(t testing.TB) map[string]func() {
	full, none := testTable(t), newTable(t, Config{Regions: four()})
	named, cdn, far := headers("Fulcrum-Region", "asia"), headers("CF-IPCountry", "DE"), headers("X-Forwarded-For", "175.16.199.1, 81.2.69.1, 10.9.9.9")
	plain := headers("Accept", "*/*")
	return map[string]func(){
		"default":   func() { none.Find(stranger, plain) },
		"header":    func() { full.Find(stranger, named) },
		"cdn":       func() { full.Find(proxy, cdn) },
		"address":   func() { full.Find(stranger, plain) },
		"forwarded": func() { full.Find(proxy, far) },
		"ipv6":      func() { full.Find("[2a02:cf40::1]:80", plain) },
	}
}

func TestFindTakesNoMemory(t *testing.T) {
	for name, find := range ways(t) {
		if n := testing.AllocsPerRun(100, find); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for name, find := range ways(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				find()
			}
		})
	}
}
