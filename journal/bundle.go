package journal

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/fulcrum-data/fulcrum"
)

// bundle is a row of the file: records of one commit and shard, whose offsets are first,
// first+1 and so on. A row for each record would cost several times as much.
type bundle struct {
	first, last int64
	shard       int
	before      int64  // offset of the shard's record before first; 0 if that is not known
	packed      []byte // scope, key and data of each, all behind their lengths
	size        int64  // bytes of scopes, keys and data
}

const (
	// mostBundled is how many records a row holds: who reads some reads whole rows.
	mostBundled = 128
	// mostPacked is the size of a row that takes no more records, in bytes.
	mostPacked = 256 << 10
)

// add takes one more record; false if there is no room.
func (b *bundle) add(e entry) bool {
	if b.last-b.first+1 >= mostBundled || len(b.packed) >= mostPacked {
		return false
	}
	b.last++
	for _, text := range []string{e.scope, e.key} {
		b.packed = append(binary.AppendUvarint(b.packed, uint64(len(text))), text...)
	}
	b.packed = append(binary.AppendUvarint(b.packed, uint64(len(e.data))), e.data...)
	b.size += e.size()
	return true
}

// records unpacks them; false if the bundle is not as it was made. Their data is b's.
func (b *bundle) records() ([]fulcrum.JournalRecord, bool) {
	n := b.last - b.first + 1
	if n < 1 || n > mostBundled {
		return nil, false
	}
	all := make([]fulcrum.JournalRecord, 0, n)
	rest := b.packed
	for offset := b.first; offset <= b.last; offset++ {
		var parts [3][]byte
		for i := range parts {
			size, used := binary.Uvarint(rest)
			if used <= 0 || size > math.MaxInt32 || int(size) > len(rest)-used {
				return nil, false
			}
			end := used + int(size)
			parts[i], rest = rest[used:end:end], rest[end:]
		}
		all = append(all, fulcrum.JournalRecord{Shard: b.shard, Offset: offset, Scope: string(parts[0]), Key: string(parts[1]), Data: parts[2]})
	}
	return all, len(rest) == 0
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of all that the row says.
func (b *bundle) sum() int64 {
	head := make([]byte, 0, 5*binary.MaxVarintLen64)
	for _, n := range []int64{b.first, b.last, int64(b.shard), b.before, b.size} {
		head = binary.AppendVarint(head, n)
	}
	return int64(crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, b.packed))
}
