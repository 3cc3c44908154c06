package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/fulcrum-data/fulcrum"
	"github.com/fulcrum-data/fulcrum/store"
)

var (
	// claimSQL takes idempotency keys that are new, or older than they are kept. Who
	// finds one that another transaction has just taken waits for its end.
	claimSQL = `insert into fulcrum_once as o (scope, key, body, at)
		select k.scope, k.key, k.body, now() from unnest($1::text[], $2::text[], $3::bytea[]) as k(scope, key, body)
		on conflict (scope, key) do update set body = excluded.body, answer = null, at = excluded.at where o.at <= now() - ` + keptFor

	// lookSQL tells what is known of them. A statement of its own sees what was waited for.
	lookSQL = `select k.i, o.body, o.answer from unnest($1::text[], $2::text[]) with ordinality as k(scope, key, i)
		join fulcrum_once o on o.scope = k.scope and o.key = k.key`

	answerSQL = `update fulcrum_once as o set answer = k.answer
		from unnest($1::text[], $2::text[], $3::text[]) as k(scope, key, answer) where o.scope = k.scope and o.key = k.key`

	forgetSQL = `delete from fulcrum_once as o using unnest($1::text[], $2::text[]) as k(scope, key) where o.scope = k.scope and o.key = k.key`

	// purgeSQL takes away a few that are too old, and waits for nobody.
	purgeSQL = `delete from fulcrum_once where ctid = any (array(
		select ctid from fulcrum_once where at <= now() - ` + keptFor + ` limit 100 for update skip locked))`
)

const (
	advanceSQL = `insert into fulcrum_positions as p (journal, shard, "offset") values ($1::text, $2::integer, $3::bigint)
		on conflict (journal, shard) do update set "offset" = excluded."offset" where p."offset" = $4::bigint returning p.shard`

	positionSQL = `select "offset" from fulcrum_positions where journal = $1::text and shard = $2::integer`

	burySQL = `insert into fulcrum_dead_letters (resource, scope, op, key, body, if_version, if_absent, error)
		select k.resource, k.scope, k.op::smallint, k.key, nullif(k.body, ''), k.version, k.absent::boolean, k.error
		from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) as k(resource, scope, op, key, body, version, absent, error)`
)

// A claim is one idempotency key of a commit, with the changes that came under it.
type claim struct {
	once   *store.Once
	items  []int // places in the commit; the first is made, the others get its answer
	body   []byte
	answer []byte // the first answer, if there is one
}

// claims are the idempotency keys of the commit, in their own order, so that those who
// ask for the same do not wait for each other in a circle.
func (j *job) claims() []claim {
	type name struct{ scope, key string }
	places := map[name]int{}
	var all []claim
	for i, c := range j.c.Items() {
		if c.Once == nil {
			continue
		}
		n := name{storable(c.Once.Scope), storable(c.Once.Key)} // what differs must differ in the table too
		at, ok := places[n]
		if !ok {
			at = len(all)
			places[n] = at
			all = append(all, claim{once: c.Once})
		}
		all[at].items = append(all[at].items, i)
	}
	slices.SortFunc(all, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.once.Scope, b.once.Scope), cmp.Compare(a.once.Key, b.once.Key))
	})
	return all
}

// names are the scopes and keys of claims.
func names(claims []claim) *arrays {
	scopes, keys := make([]string, len(claims)), make([]string, len(claims))
	for i, c := range claims {
		scopes[i], keys[i] = c.once.Scope, c.once.Key
	}
	return newArrays().texts(scopes).texts(keys)
}

// askOnce sends the questions for claims.
func askOnce(f *flight, claims []claim) {
	bodies := make([][]byte, len(claims))
	for i, c := range claims {
		bodies[i] = c.once.Body[:]
	}
	f.plain(claimSQL, names(claims).bytes(bodies).all(), nil, ignoreRows)
	f.plain(lookSQL, names(claims).all(), []int16{binaryFormat, binaryFormat, textFormat}, func(values [][]byte) error {
		c := &claims[binary.BigEndian.Uint64(values[0])-1]
		c.body = slices.Clone(values[1])
		if values[2] != nil {
			c.answer = slices.Clone(values[2])
		}
		return nil
	})
}

// settleOnce tells first answers again, and says which changes are not to be made.
func (j *job) settleOnce(claims []claim) (skip map[int]bool, err error) {
	skip = map[int]bool{}
	for _, c := range claims {
		first := true
		for _, i := range c.items {
			once := j.c.Items()[i].Once
			switch {
			case string(once.Body[:]) != string(c.body):
				j.made[i], skip[i] = made{err: store.ErrOnceReused, done: true}, true
			case c.answer != nil:
				if err := j.replay(i, c.answer); err != nil {
					return nil, err
				}
				skip[i] = true
			case first:
				first = false
			default:
				skip[i] = true // until the first is made
			}
		}
	}
	return skip, nil
}

// replay gives a change an answer that was given before.
func (j *job) replay(i int, answer []byte) error {
	written, first, err := store.DecodeAnswer(answer)
	j.made[i] = made{written: written, err: first, done: true}
	return err
}

// keepAnswers sends what the claims that were new have come to.
func (j *job) keepAnswers(f *flight, claims []claim) error {
	var kept, passing []claim
	var answers []string
	for _, c := range claims {
		if c.answer != nil {
			continue
		}
		var fresh []int
		for _, i := range c.items {
			if string(j.c.Items()[i].Once.Body[:]) == string(c.body) {
				fresh = append(fresh, i)
			}
		}
		if len(fresh) == 0 {
			continue
		}
		written, err := j.result(fresh[0])
		answer, lasting := store.EncodeAnswer(written, err)
		lasting = lasting && (err == nil || !c.once.Again)
		if lasting {
			kept, answers = append(kept, c), append(answers, string(answer))
		} else {
			passing = append(passing, c)
		}
		for _, i := range fresh[1:] {
			if !lasting {
				j.made[i] = made{err: err, done: true}
			} else if err := j.replay(i, answer); err != nil {
				return err
			}
		}
	}
	if len(kept) > 0 {
		f.plain(answerSQL, names(kept).texts(answers).all(), nil, ignoreRows)
	}
	if len(passing) > 0 {
		f.plain(forgetSQL, names(passing).all(), nil, ignoreRows)
	}
	f.command(purgeSQL)
	return nil
}

// result is what has become of a change.
func (j *job) result(i int) (store.Written, error) {
	m := &j.made[i]
	switch {
	case m.err != nil:
		return store.Written{}, m.err
	case !m.done:
		return store.Written{}, missing(&j.c.Items()[i])
	}
	if m.at.rows > 0 {
		m.written.Row = j.out[m.at.from:m.at.to:m.at.to]
	}
	return m.written, nil
}

// askPosition stores the commit's position if it is the next one; applied says whether
// the commit was made before. Who stores first waits for a transaction that does so too,
// and sees what that has stored.
func (j *job) askPosition(f *flight, applied *bool) {
	p := j.c.Position()
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	moved := false
	f.plain(advanceSQL, newArrays().text(p.Journal).text(strconv.Itoa(p.Shard)).text(number(p.Offset)).text(number(p.After)).all(), nil, func([][]byte) error {
		moved = true
		return nil
	})
	f.plain(positionSQL, newArrays().text(p.Journal).text(strconv.Itoa(p.Shard)).all(), nil, func(values [][]byte) error {
		at, err := strconv.ParseInt(string(values[0]), 10, 64)
		switch {
		case err != nil || moved:
			return err
		case at < p.Offset:
			return fmt.Errorf("postgres: shard %d of journal %s was applied up to %d, not %d: %w", p.Shard, p.Journal, at, p.After, fulcrum.ErrPosition)
		}
		*applied = true
		return nil
	})
}

// bury sends the changes that could not be made to the dead letters.
func (j *job) bury(f *flight) {
	columns := make([][]string, 8)
	for i, c := range j.c.Items() {
		_, err := j.result(i)
		if err == nil {
			continue
		}
		for n, text := range []string{
			j.w.resource.Name, fulcrum.ScopeFrom(f.ctx), strconv.Itoa(int(c.Op)), string(c.Key), string(c.Body), c.IfVersion, strconv.FormatBool(c.IfAbsent), err.Error(),
		} {
			columns[n] = append(columns[n], text)
		}
	}
	if len(columns[0]) == 0 {
		return
	}
	params := newArrays()
	for _, c := range columns {
		params.texts(c)
	}
	f.plain(burySQL, params.all(), nil, ignoreRows)
}

// open begins the transaction with all that must be known before the first change.
// It says whether the commit was made before, and which changes are not to be made.
func (j *job) open(ctx context.Context, immediate bool) (claims []claim, skip map[int]bool, applied bool, err error) {
	f := takeOff(ctx, j.conn)
	f.command("begin")
	if j.w.db.cfg.ScopeSetting != "" {
		j.setScope(f)
	}
	if immediate {
		f.command("set constraints all immediate")
	}
	if j.c.Position() != nil {
		j.askPosition(f, &applied)
	}
	if claims = j.claims(); len(claims) > 0 {
		askOnce(f, claims)
	}
	if err = f.finish(); err != nil || applied {
		return nil, nil, applied, err
	}
	skip, err = j.settleOnce(claims)
	return claims, skip, false, err
}
