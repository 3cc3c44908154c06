package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
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
	file    os.FileInfo // as it was when opened
	db      *sql.DB     // one connection writes
	readers *sql.DB
	writer  *fulcrum.Writer[entry, fulcrum.JournalRecord]
	bytes   atomic.Int64
	insert  *sql.Stmt
	next    int64   // offset; only the one commit in flight uses it and the two below
	last    []int64 // by shard: its last offset, 0 if that is not known
	done    []int64 // by shard: what trimmed was when it was last deleted
	trimmed []atomic.Int64
}

var _ fulcrum.Journal = (*Journal)(nil)

// entry is a record on its way in.
type entry struct {
	scope, key string
	data       []byte
	settled    func(fulcrum.JournalRecord, error) // nil: nobody wants to know
}

func (e entry) size() int64 { return int64(len(e.scope) + len(e.key) + len(e.data)) }

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
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(j.cfg.Path)} // a name may hold ? and %
	dsn := file.String() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(" + j.cfg.synchronous +
		fmt.Sprintf(")&_pragma=wal_autocheckpoint(%d)&_txlock=immediate", walPages)
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
	if err := j.adopt(ctx); err != nil {
		return err
	}
	if j.file, err = os.Stat(j.cfg.Path); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.insert, err = j.db.PrepareContext(ctx, "insert into bundles (first, last, shard, before, size, sum, packed) values (?, ?, ?, ?, ?, ?, ?)")
	return j.explain(err)
}

// walPages is after how many pages the log is written back into the file: 40 MiB. What is
// trimmed by then need not be.
const walPages = 10_000

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
		create table bundles (first integer primary key, last integer not null, shard integer not null, before integer not null, size integer not null, sum integer not null, packed blob not null);
		create table trimmed (shard integer primary key, up_to integer not null);
		insert into meta values ('layout', ?), ('name', ?), ('shards', ?), ('hash', 'fnv1a');
		commit`, layout, hex.EncodeToString(name), strconv.Itoa(max(1, j.cfg.Shards)))
	if err == nil && j.cfg.Shards > 1 {
		_, err = j.db.ExecContext(ctx, "create index bundles_shard on bundles (shard)")
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
	j.trimmed, j.done, j.last = make([]atomic.Int64, shards), make([]int64, shards), make([]int64, shards)
	return j.explain(j.survey(ctx))
}

// survey finds out where the shards begin and end, and how much they hold.
func (j *Journal) survey(ctx context.Context) error {
	rows, err := j.db.QueryContext(ctx, `select shard, max(last), sum(size), 0 from bundles group by shard
		union all select shard, 0, 0, up_to from trimmed`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var shard int
		var last, size, trimmed int64
		if err := rows.Scan(&shard, &last, &size, &trimmed); err != nil {
			return err
		}
		if shard < 0 || shard >= len(j.last) {
			return fmt.Errorf("%w: it has a shard %d", ErrDamaged, shard)
		}
		j.last[shard] = max(j.last[shard], last)
		j.next = max(j.next, last)
		j.bytes.Add(size)
		j.Trim(shard, trimmed)
	}
	j.next++
	return rows.Err()
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
// appended one after the other keep their order. Settled, unless it is nil, is told what
// became of it, also if ctx ends before that is known; not if nothing was begun.
func (j *Journal) Append(ctx context.Context, scope, key string, data []byte, settled func(fulcrum.JournalRecord, error)) (fulcrum.JournalRecord, error) {
	if j.bytes.Load()+int64(len(data)+len(key)+len(scope)) > j.cfg.MaxBytes {
		return fulcrum.JournalRecord{}, &fulcrum.ShedError{Reason: fulcrum.ShedBytes, RetryAfter: time.Second}
	}
	if data == nil {
		data = []byte{} // or it would be NULL
	}
	receipt, err := j.writer.Write(ctx, entry{scope, key, data, settled})
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

// commit writes gathered records in one transaction. There is one at a time.
func (j *Journal) commit(ctx context.Context, c *fulcrum.Commit[entry, fulcrum.JournalRecord]) (err error) {
	defer func() {
		for i, e := range c.Items() {
			if e.settled != nil {
				r, _ := c.Result(i)
				e.settled(r, err)
			}
		}
	}()
	if err := j.mayTake(); err != nil {
		return fmt.Errorf("%w: %w", err, fulcrum.ErrUnavailable)
	}
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return j.explain(err)
	}
	bundles := j.bundle(c)
	grown, err := j.fill(ctx, tx, bundles)
	if err != nil {
		return j.explain(errors.Join(err, tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return j.uncertain(err)
	}
	for _, b := range bundles {
		j.last[b.shard] = b.last
	}
	j.next += int64(c.Len())
	j.bytes.Add(grown)
	return nil
}

// mayTake is why no record can be taken: it would be lost though SQLite could keep it.
func (j *Journal) mayTake() error {
	file, err := os.Stat(j.cfg.Path)
	if err != nil || !os.SameFile(file, j.file) {
		return fmt.Errorf("%w: %s was removed or replaced while it is open: put it back, or start again", ErrDamaged, j.cfg.Path)
	}
	for shard := range j.trimmed {
		if upTo := j.trimmed[shard].Load(); upTo >= j.next {
			return fmt.Errorf("%w: %s: shard %d was applied up to %d, but the file ends at %d: it is an older copy, or came without its -wal; when what it holds is applied, move it away",
				ErrDamaged, j.cfg.Path, shard, upTo, j.next-1)
		}
	}
	return nil
}

// uncertain explains an error of COMMIT. If the sync has failed, then all is written, but
// perhaps not to last: nobody sees it now, and it may be there after a crash.
func (j *Journal) uncertain(err error) error {
	var coded interface{ Code() int }
	if errors.As(err, &coded) && coded.Code() == ioErrFsync {
		return fmt.Errorf("%w: %w", fulcrum.ErrAmbiguous, j.explain(err))
	}
	return j.explain(err)
}

// ioErrFsync is SQLite's code for a sync that has failed.
const ioErrFsync = 10 | 4<<8

// bundle gives the records their offsets: those of one shard one behind the other, in the
// order in which they came.
func (j *Journal) bundle(c *fulcrum.Commit[entry, fulcrum.JournalRecord]) (all []*bundle) {
	places := make([][]int, j.cfg.Shards)
	for i, e := range c.Items() {
		shard := j.shardOf(e.scope, e.key)
		places[shard] = append(places[shard], i)
	}
	next := j.next
	for shard, items := range places {
		var b *bundle
		for _, i := range items {
			if e := c.Items()[i]; b == nil || !b.add(e) {
				before := j.last[shard]
				if b != nil {
					before = b.last
				}
				b = &bundle{first: next, last: next - 1, shard: shard, before: before}
				b.packed = make([]byte, 0, min(mostPacked, (int(e.size())+16)*min(len(items), mostBundled)))
				b.add(e)
				all = append(all, b)
			}
			c.Set(i, fulcrum.JournalRecord{Shard: shard, Offset: next})
			next++
		}
	}
	return all
}

func (j *Journal) fill(ctx context.Context, tx *sql.Tx, bundles []*bundle) (grown int64, err error) {
	insert := tx.StmtContext(ctx, j.insert)
	defer insert.Close() // j.insert stays
	for _, b := range bundles {
		if _, err := insert.ExecContext(ctx, b.first, b.last, b.shard, b.before, b.size, b.sum(), b.packed); err != nil {
			return 0, err
		}
		grown += b.size
	}
	freed, err := j.forget(ctx, tx)
	return grown - freed, err
}

// mostForgotten is how many trimmed rows go with each commit.
const mostForgotten = 256

// forget deletes some of what was trimmed. The last row stays whatever was trimmed: by
// its offsets the next ones are known after a restart.
func (j *Journal) forget(ctx context.Context, tx *sql.Tx) (freed int64, err error) {
	for shard := range j.trimmed {
		upTo := min(j.trimmed[shard].Load(), j.next-1)
		if upTo <= j.done[shard] {
			continue
		}
		n, size, err := forgetShard(ctx, tx, shard, upTo)
		if err != nil {
			return freed, err
		}
		freed += size
		if n < mostForgotten {
			j.done[shard] = upTo
		}
	}
	return freed, nil
}

// forgetShard deletes the first rows of a shard, and notes that they were trimmed.
func forgetShard(ctx context.Context, tx *sql.Tx, shard int, upTo int64) (n int, freed int64, err error) {
	rows, err := tx.QueryContext(ctx, `delete from bundles where first in (select first from bundles where shard = ? and first <= ? and last <= ? order by first limit ?)
		returning size`, shard, upTo, upTo, mostForgotten)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var size int64
		if err := rows.Scan(&size); err != nil {
			return 0, 0, err
		}
		freed += size
	}
	if err := rows.Err(); err != nil || n == 0 {
		return 0, 0, err
	}
	_, err = tx.ExecContext(ctx, "insert or replace into trimmed (shard, up_to) values (?, ?)", shard, upTo)
	return n, freed, err
}

// Trim says that a shard's records up to an offset were applied and may be forgotten.
func (j *Journal) Trim(shard int, upTo int64) {
	for {
		was := j.trimmed[shard].Load()
		if upTo <= was || j.trimmed[shard].CompareAndSwap(was, upTo) {
			return
		}
	}
}

// Read returns at most limit records of a shard behind an offset, in their order. A record
// that is missing or not as it was written is ErrDamaged, with those before it.
func (j *Journal) Read(ctx context.Context, shard int, after int64, limit int) ([]fulcrum.JournalRecord, error) {
	rows, err := j.readers.QueryContext(ctx, `select first, last, before, size, sum, packed from bundles where shard = ?1 and last > ?2
		and first >= ifnull((select first from bundles where shard = ?1 and first <= ?2 order by first desc limit 1), 0) order by first`, shard, after)
	if err != nil {
		return nil, j.explain(err)
	}
	defer rows.Close()
	var all []fulcrum.JournalRecord
	for at := max(after, j.trimmed[shard].Load()); len(all) < limit && rows.Next(); {
		b := bundle{shard: shard}
		var sum int64
		if err := rows.Scan(&b.first, &b.last, &b.before, &b.size, &sum, &b.packed); err != nil {
			return all, j.explain(err)
		}
		records, sound := b.records()
		if !sound || sum != b.sum() {
			return all, fmt.Errorf("%w: %s: records %d to %d", ErrDamaged, j.cfg.Path, b.first, b.last)
		}
		if b.before > at {
			return all, fmt.Errorf("%w: %s: records are missing between %d and %d", ErrDamaged, j.cfg.Path, at, b.first)
		}
		at = b.last
		records = records[max(0, after+1-b.first):]
		all = append(all, records[:min(len(records), limit-len(all))]...)
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
