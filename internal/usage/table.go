package usage

// table counts keys by their hash: open addressing with linear probing, without
// pointers, so that millions of keys cost the garbage collector nothing.
type table struct {
	entries []entry // a power of two
	used    int
}

// entry is a key. A hash of 0 marks a free place.
type entry struct {
	hash  uint64
	count uint32 // the highest bit says that the key's name is kept
	pos   uint32 // when it was last asked for; 0: not followed
}

const (
	named   = 1 << 31
	maxSeen = named - 1
)

func (e *entry) seen() uint32 { return e.count &^ named }

// add counts n more of a key.
func (e *entry) add(n int) {
	e.count = e.count&named | uint32(min(uint64(e.seen())+uint64(n), maxSeen))
}

// find returns a key's entry, new or not. It is valid until the next find.
func (t *table) find(hash uint64) (e *entry, isNew bool) {
	if 4*t.used >= 3*len(t.entries) {
		t.grow()
	}
	if hash == 0 {
		hash = 1
	}
	mask := uint64(len(t.entries) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e = &t.entries[i]
		if e.hash == hash {
			return e, false
		}
		if e.hash == 0 {
			e.hash = hash
			t.used++
			return e, true
		}
	}
}

// has says whether a key has an entry.
func (t *table) has(hash uint64) bool {
	mask := uint64(len(t.entries) - 1)
	for i := hash & mask; t.entries[i].hash != 0; i = (i + 1) & mask {
		if t.entries[i].hash == hash {
			return true
		}
	}
	return false
}

func (t *table) grow() {
	t.rebuild(max(1024, 2*len(t.entries)), func(*entry) bool { return true })
}

// rebuild moves the entries that are kept to a table of a size.
func (t *table) rebuild(size int, keep func(*entry) bool) {
	old := t.entries
	t.entries, t.used = make([]entry, size), 0
	mask := uint64(size - 1)
	for i := range old {
		if old[i].hash == 0 || !keep(&old[i]) {
			continue
		}
		j := old[i].hash & mask
		for t.entries[j].hash != 0 {
			j = (j + 1) & mask
		}
		t.entries[j] = old[i]
		t.used++
	}
}

// each calls f with every entry.
func (t *table) each(f func(*entry)) {
	for i := range t.entries {
		if t.entries[i].hash != 0 {
			f(&t.entries[i])
		}
	}
}
