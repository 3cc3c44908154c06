package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/fulcrum-data/fulcrum"
)

// Config says which file to use.
type Config struct {
	// Path of the file; it is made if it is not there. Beside it lie SQLite's own, and a
	// lock. Required.
	Path string
	// Shards is how many parts can be applied independently of each other (count). It is
	// stored in the file; another number later is refused. Default: the file's, or 1 for a
	// new one; at most 64.
	Shards int
	// MaxBytes is the most bytes of records that are not trimmed; more are refused with a
	// fulcrum.ShedError. Default 1 GiB.
	MaxBytes int64

	synchronous string // for the test that must see a missing sync
}

const (
	defaultMaxBytes = 1 << 30
	mostShards      = 64
	layout          = "1" // of the file
)

// Journal is an open file. It is safe for concurrent use. Close ends it.
type Journal struct {
	cfg     Config
	name    string
	lock    *os.File
	db      *sql.DB // one connection writes
	readers *sql.DB
	writer  *fulcrum.Writer[entry, fulcrum.JournalRecord]
	bytes   atomic.Int64
	next    int64 // offset; only the one commit in flight uses it
	trimmed []atomic.Int64
	done    []int64 // by shard: what trimmed was when it was last deleted
}

var _ fulcrum.Journal = (*Journal)(nil)

// entry is a record on its way in.
type entry struct {
	scope, key string
	data       []byte
}

// ErrDamaged says that the file is not as it was written. Restore it from a copy, or move
// it away and lose what was not applied.
var ErrDamaged = errors.New("journal: the file is damaged")

// Open opens or makes a journal. Its errors say what is wrong with the file.
func Open(ctx context.Context, cfg Config) (*Journal, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.synchronous == "" {
		cfg.synchronous = "full"
	}
	switch {
	case cfg.Path == "":
		return nil, errors.New("journal: Config.Path is missing: name a file")
	case cfg.Shards < 0 || cfg.Shards > mostShards:
		return nil, fmt.Errorf("journal: Config.Shards: %d is not between 1 and %d", cfg.Shards, mostShards)
	case cfg.MaxBytes < 0:
		return nil, fmt.Errorf("journal: Config.MaxBytes: %d is negative", cfg.MaxBytes)
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	cfg.Path = path
	j := &Journal{cfg: cfg}
	if j.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	if err := j.open(ctx); err != nil {
		return nil, errors.Join(err, j.release())
	}
	j.writer, err = fulcrum.NewWriter(fulcrum.WriterConfig[entry, fulcrum.JournalRecord]{
		Name: "journal", Apply: j.commit, Policy: fulcrum.Policy{InFlight: 1, Reserved: -1, MaxBatch: mostAtOnce},
	})
	return j, err
}

// mostAtOnce is how many records one transaction holds.
const mostAtOnce = 4096

func (j *Journal) open(ctx context.Context) (err error) {
	dsn := "file:" + j.cfg.Path + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(" + j.cfg.synchronous + ")&_txlock=immediate"
	if j.db, err = sql.Open("sqlite", dsn); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.db.SetMaxOpenConns(1)
	if j.readers, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.examine(ctx); err != nil {
		return err
	}
	return j.adopt(ctx)
}

// examine makes the tables of a new file and looks whether an old one is sound.
func (j *Journal) examine(ctx context.Context) error {
	var tables int
	if err := j.db.QueryRowContext(ctx, "select count(*) from sqlite_schema").Scan(&tables); err != nil {
		return j.explain(err)
	}
	if tables > 0 {
		var verdict string
		if err := j.db.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&verdict); err != nil {
			return j.explain(err)
		}
		if verdict != "ok" {
			return fmt.Errorf("%w: %s: %s", ErrDamaged, j.cfg.Path, verdict)
		}
		return nil
	}
	name := make([]byte, 8)
	_, _ = rand.Read(name) // it never fails
	_, err := j.db.ExecContext(ctx, `begin immediate;
		create table meta (name text primary key, value text not null) without rowid;
		create table records (offset integer primary key, shard integer not null, scope text not null, key text not null, data blob not null, sum integer not null);
		insert into meta values ('layout', ?), ('name', ?), ('shards', ?), ('hash', 'fnv1a');
		commit`, layout, hex.EncodeToString(name), strconv.Itoa(max(1, j.cfg.Shards)))
	if err == nil && j.cfg.Shards > 1 {
		_, err = j.db.ExecContext(ctx, "create index records_shard on records (shard)")
	}
	return j.explain(err)
}

// adopt reads what the file says of itself.
func (j *Journal) adopt(ctx context.Context) error {
	meta := make(map[string]string)
	rows, err := j.db.QueryContext(ctx, "select name, value from meta")
	if err != nil {
		return fmt.Errorf("journal: %s is no journal: %w; name another file", j.cfg.Path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return j.explain(err)
		}
		meta[name] = value
	}
	if err := rows.Err(); err != nil {
		return j.explain(err)
	}
	shards, err := strconv.Atoi(meta["shards"])
	switch {
	case meta["layout"] != layout || meta["hash"] != "fnv1a" || err != nil || shards < 1 || shards > mostShards:
		return fmt.Errorf("journal: %s was not written by this version (layout %q, want %q)", j.cfg.Path, meta["layout"], layout)
	case j.cfg.Shards != 0 && j.cfg.Shards != shards:
		return fmt.Errorf("journal: Config.Shards is %d, but %s has %d: leave it out, or begin a new file once this one is applied", j.cfg.Shards, j.cfg.Path, shards)
	}
	j.name, j.cfg.Shards = meta["name"], shards
	j.trimmed, j.done = make([]atomic.Int64, shards), make([]int64, shards)
	var last, bytes sql.NullInt64
	err = j.db.QueryRowContext(ctx, "select max(offset), sum(length(data) + length(key) + length(scope)) from records").Scan(&last, &bytes)
	j.next = last.Int64 + 1
	j.bytes.Store(bytes.Int64)
	return j.explain(err)
}

// explain says what to do about an error of SQLite.
func (j *Journal) explain(err error) error {
	if err == nil {
		return nil
	}
	var coded interface{ Code() int }
	if !errors.As(err, &coded) {
		return fmt.Errorf("journal: %s: %w", j.cfg.Path, err)
	}
	what := "SQLite refuses"
	switch coded.Code() & 0xff {
	case 11, 26: // corrupt, not a database
		return fmt.Errorf("%w: %s: %w", ErrDamaged, j.cfg.Path, err)
	case 13: // full
		what = "the disk is full: make room; nothing is lost, and nothing is accepted until then"
	case 8, 14: // read-only, cannot be opened
		what = "it cannot be written: make the file and its folder writable"
	case 10: // I/O
		what = "the disk fails"
	}
	return fmt.Errorf("journal: %s: %s: %w: %w", j.cfg.Path, what, fulcrum.ErrUnavailable, err)
}

// Name tells this journal from all others. It was made with the file.
func (j *Journal) Name() string { return j.name }

// Shards is how many there are.
func (j *Journal) Shards() int { return j.cfg.Shards }

// Bytes is how much the records hold that are not trimmed yet.
func (j *Journal) Bytes() int64 { return j.bytes.Load() }

// Append returns once the record would outlive a loss of power. An error says that it
// is not there, unless it is fulcrum.ErrAmbiguous. Records of one scope and key that are
// appended one after the other keep their order.
func (j *Journal) Append(ctx context.Context, scope, key string, data []byte) (fulcrum.JournalRecord, error) {
	if j.bytes.Load()+int64(len(data)+len(key)+len(scope)) > j.cfg.MaxBytes {
		return fulcrum.JournalRecord{}, &fulcrum.ShedError{Reason: fulcrum.ShedBytes, RetryAfter: time.Second}
	}
	if data == nil {
		data = []byte{} // or it would be NULL
	}
	receipt, err := j.writer.Write(ctx, entry{scope, key, data})
	return receipt.Result, err
}

// shardOf is where the records of a scope and key are. The hash is part of the layout.
func (j *Journal) shardOf(scope, key string) int {
	if j.cfg.Shards == 1 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(scope + "\x00" + key))
	return int(h.Sum64() % uint64(j.cfg.Shards))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sumOf(scope, key string, data []byte) int64 {
	s := crc32.Update(0, castagnoli, []byte(scope))
	s = crc32.Update(s, castagnoli, []byte{0})
	s = crc32.Update(s, castagnoli, []byte(key))
	s = crc32.Update(s, castagnoli, []byte{0})
	return int64(crc32.Update(s, castagnoli, data))
}

// commit writes gathered records in one transaction. There is one at a time.
func (j *Journal) commit(ctx context.Context, c *fulcrum.Commit[entry, fulcrum.JournalRecord]) error {
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return j.explain(err)
	}
	grown, err := j.fill(ctx, tx, c)
	if err != nil {
		return j.explain(errors.Join(err, tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return j.explain(errors.Join(err, tx.Rollback()))
	}
	j.next += int64(c.Len())
	j.bytes.Add(grown)
	return nil
}

func (j *Journal) fill(ctx context.Context, tx *sql.Tx, c *fulcrum.Commit[entry, fulcrum.JournalRecord]) (grown int64, err error) {
	insert, err := tx.PrepareContext(ctx, "insert into records (offset, shard, scope, key, data, sum) values (?, ?, ?, ?, ?, ?)")
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	for i, e := range c.Items() {
		r := fulcrum.JournalRecord{Shard: j.shardOf(e.scope, e.key), Offset: j.next + int64(i)}
		if _, err := insert.ExecContext(ctx, r.Offset, r.Shard, e.scope, e.key, e.data, sumOf(e.scope, e.key, e.data)); err != nil {
			return 0, err
		}
		grown += int64(len(e.data) + len(e.key) + len(e.scope))
		c.Set(i, r)
	}
	freed, err := j.forget(ctx, tx)
	return grown - freed, err
}

// mostForgotten is how many trimmed records go with each commit.
const mostForgotten = 2 * mostAtOnce

// forget deletes some of what was trimmed. The last record stays whatever was trimmed: by
// its offset the next ones are known after a restart.
func (j *Journal) forget(ctx context.Context, tx *sql.Tx) (freed int64, err error) {
	for shard := range j.trimmed {
		upTo := min(j.trimmed[shard].Load(), j.next-1)
		if upTo <= j.done[shard] {
			continue
		}
		rows, err := tx.QueryContext(ctx, `delete from records where offset in (select offset from records where shard = ? and offset <= ? order by offset limit ?)
			returning length(data) + length(key) + length(scope)`, shard, upTo, mostForgotten)
		if err != nil {
			return freed, err
		}
		n := 0
		for rows.Next() {
			var size int64
			if err := rows.Scan(&size); err != nil {
				return freed, errors.Join(err, rows.Close())
			}
			freed += size
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return freed, err
		}
		if n < mostForgotten {
			j.done[shard] = upTo
		}
	}
	return freed, nil
}

// Trim says that a shard's records up to an offset were applied and may be forgotten.
func (j *Journal) Trim(shard int, upTo int64) { j.trimmed[shard].Store(upTo) }

// Read returns at most limit records of a shard behind an offset, in their order. A record
// that is not as it was written is ErrDamaged, with those before it.
func (j *Journal) Read(ctx context.Context, shard int, after int64, limit int) ([]fulcrum.JournalRecord, error) {
	rows, err := j.readers.QueryContext(ctx, "select offset, scope, key, data, sum from records where shard = ? and offset > ? order by offset limit ?", shard, after, limit)
	if err != nil {
		return nil, j.explain(err)
	}
	defer rows.Close()
	var all []fulcrum.JournalRecord
	for rows.Next() {
		r := fulcrum.JournalRecord{Shard: shard}
		var sum int64
		if err := rows.Scan(&r.Offset, &r.Scope, &r.Key, &r.Data, &sum); err != nil {
			return all, j.explain(err)
		}
		if sum != sumOf(r.Scope, r.Key, r.Data) {
			return all, fmt.Errorf("%w: %s: record %d", ErrDamaged, j.cfg.Path, r.Offset)
		}
		all = append(all, r)
	}
	return all, j.explain(rows.Err())
}

// Close waits for the appends in flight and closes the file. Later calls do nothing.
func (j *Journal) Close(ctx context.Context) error {
	return errors.Join(j.writer.Shutdown(ctx), j.release())
}

func (j *Journal) release() error {
	var all []error
	for _, db := range []*sql.DB{j.readers, j.db} {
		if db != nil {
			all = append(all, db.Close())
		}
	}
	return errors.Join(append(all, unlock(j.lock))...)
}
