package region

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Geo is a MaxMind database of countries or cities. It is safe for concurrent use.
type Geo struct {
	reader *maxminddb.Reader
	file   string
}

// maxGeo is the largest file that is read, in bytes. MaxMind's largest has some 200 MiB.
const maxGeo = 1 << 30

// OpenGeo reads a database into memory: a mapped file that is written over while it is
// used would end the process. It needs no closing.
func OpenGeo(file string) (*Geo, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxGeo+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxGeo:
		return nil, fmt.Errorf("%s has more than %d bytes", file, maxGeo)
	}
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s is no MaxMind database: %w", file, err)
	}
	g := &Geo{reader: reader, file: file}
	if err := g.probe(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return g, nil
}

// File is the database's file, as it was named.
func (g *Geo) File() string { return g.file }

// Kind is what the database says it is, such as GeoLite2-City.
func (g *Geo) Kind() string { return g.reader.Metadata.DatabaseType }

// record is what is read of a database's records.
type record struct {
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
	Country struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Subdivisions []struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"subdivisions"`
}

func (r *record) place() place {
	var p place
	p.continent, _ = codeOf(r.Continent.Code)
	p.country, _ = countryOf(r.Country.Code)
	if len(r.Subdivisions) > 0 {
		p.subdivision, _ = codeOf(r.Subdivisions[0].Code)
	}
	return p
}

// probed is how many networks are looked at for the first place.
const probed = 1000

// probe refuses a database that knows no places, such as one of providers.
func (g *Geo) probe() error {
	n := 0
	for result := range g.reader.Networks() {
		var r record
		if err := result.Decode(&r); err != nil {
			return fmt.Errorf("it cannot be read: %w", err)
		}
		if p := r.place(); p != (place{}) {
			return nil
		}
		if n++; n == probed {
			break
		}
	}
	return errors.New("it knows no countries: want a database such as GeoLite2-Country or GeoLite2-City")
}

// memo remembers the regions of a database's records, so that most look-ups decode
// nothing. A slot holds a record's offset and its region, in one word.
type memo [memoSize]atomic.Uint64

const (
	memoSize   = 1 << 12
	regionBits = 16
)

// get has the region's number (0: none) that set was given.
func (m *memo) get(offset uint64) (region uint16, ok bool) {
	v := m[slotOf(offset)].Load()
	return uint16(v), v>>regionBits == offset+1
}

func (m *memo) set(offset uint64, region uint16) {
	m[slotOf(offset)].Store((offset+1)<<regionBits | uint64(region))
}

// slotOf spreads offsets over the memo (Fibonacci hashing).
func slotOf(offset uint64) uint64 { return offset * 0x9E3779B97F4A7C15 >> 52 }

// locate finds an address in the database. known says that its record was read.
func (t *Table) locate(a netip.Addr) (r *Region, p place, why string) {
	result := t.geo.reader.Lookup(a)
	if err := result.Err(); err != nil {
		return nil, p, "the database cannot look it up"
	}
	if !result.Found() {
		return nil, p, "the database does not know it"
	}
	var rec record
	if err := result.Decode(&rec); err != nil {
		return nil, p, "the database's record cannot be read"
	}
	p = rec.place()
	if r = t.at(p); r == nil {
		return nil, p, notServed
	}
	return r, p, ""
}

// recall is locate for those who need no explanation: it decodes each record once.
func (t *Table) recall(a netip.Addr) *Region {
	result := t.geo.reader.Lookup(a)
	if !result.Found() {
		return nil
	}
	offset := uint64(result.Offset())
	if i, ok := t.memo.get(offset); ok {
		return t.numbered(i)
	}
	r, _, _ := t.locate(a)
	t.memo.set(offset, numberOf(r))
	return r
}

// numberOf is a region's number in the memo: from 1, 0 for none.
func numberOf(r *Region) uint16 {
	if r == nil {
		return 0
	}
	return uint16(r.index + 1)
}

func (t *Table) numbered(i uint16) *Region {
	if i == 0 {
		return nil
	}
	return t.regions[i-1]
}
