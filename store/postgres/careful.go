package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fulcrum-data/fulcrum"
)

// A caution is what is known of a commit that failed when it was tried at once.
type caution struct {
	immediate bool  // a constraint that is checked at the end stood in its way
	guilty    int   // the group that failed
	why       error // with what; nil if nothing was tried yet
}

const (
	savepoint  = "savepoint fulcrum"
	rollbackTo = "rollback to savepoint fulcrum"
)

// carefully makes a commit step by step in a transaction with savepoints, so that
// rows that fail on their data fail alone.
//
// Constraints that are checked at the end are left so at first: rows may need each
// other. If one of them fails there, all is done again with each step checked.
func (j *job) carefully(ctx context.Context, known caution) error {
	for {
		j.made = slices.Clone(j.refused)
		j.out, j.xid = nil, 0
		err := j.stepByStep(ctx, known)
		if err == nil {
			if !j.applied { // otherwise it was answered then
				j.answer()
			}
			return nil
		}
		var late lateFailure
		if !errors.As(err, &late) || known.immediate {
			if errors.Is(err, fulcrum.ErrAmbiguous) {
				j.answer()
			}
			return err
		}
		known = caution{immediate: true}
	}
}

// A lateFailure is the failure of a constraint at the transaction's end.
type lateFailure struct{ error }

func (e lateFailure) Unwrap() error { return e.error }

// stepByStep is one transaction.
func (j *job) stepByStep(ctx context.Context, known caution) (err error) {
	defer func() {
		if (err != nil || j.applied) && !j.conn.IsClosed() && j.conn.PgConn().TxStatus() != 'I' {
			_, failed := j.conn.Exec(ctx, "rollback")
			err = errors.Join(err, failed)
		}
	}()
	sets, err := j.prepare(ctx, true)
	if err != nil {
		return err
	}
	claims, skip, applied, err := j.open(ctx, known.immediate)
	if err != nil || applied {
		j.applied = applied
		return err
	}
	next := savepoint
	for i, g := range j.groups {
		edits := g.edits
		if len(skip) > 0 {
			edits = slices.DeleteFunc(slices.Clone(edits), func(e edit) bool { return skip[e.i] })
		}
		s := &steps{j: j, group: g, control: next, sd: sets[i]}
		if i == known.guilty && !known.immediate {
			s.why = known.why
		}
		if err := s.settle(ctx, edits); err != nil {
			return err
		}
		next = s.control
	}
	return j.end(ctx, next == rollbackTo, claims, sets[len(sets)-1])
}

// end keeps what must be kept of the commit, and commits.
func (j *job) end(ctx context.Context, rollback bool, claims []claim, token *pgconn.StatementDescription) error {
	f := takeOff(ctx, j.conn)
	if rollback {
		f.command(rollbackTo)
	}
	if len(claims) > 0 {
		if err := j.keepAnswers(f, claims); err != nil {
			_ = f.close()
			return err
		}
	}
	if j.c.Position() != nil {
		j.bury(f)
	}
	if j.xid == 0 { // nothing was changed but Fulcrum's own tables
		j.askNumber(f)
	}
	return j.commit(f, token)
}

// askNumber adds the question for the transaction's number.
func (j *job) askNumber(f *flight) {
	f.plain("select pg_catalog.pg_current_xact_id()", nil, []int16{binaryFormat}, func(values [][]byte) error {
		j.xid = binary.BigEndian.Uint64(values[0])
		return nil
	})
}

// commit ends the transaction with all that the flight holds.
func (j *job) commit(f *flight, token *pgconn.StatementDescription) error {
	f.pipe.SendFlushRequest()
	tag := ""
	f.plain("commit", nil, nil, ignoreRows)
	f.reads[len(f.reads)-1].tag = &tag
	f.askToken(token)
	if err := f.pipe.Flush(); err != nil {
		_ = f.close()
		return commitFailure(failure{err: err, last: true})
	}
	got := f.land()
	got.last = got.last || got.at == len(f.reads)-1
	if got.err == nil && !isCommit(tag) {
		got.err = errors.New("postgres: the server rolled back instead of committing")
	} else if got.err = commitFailure(got); got.err == nil {
		j.tell(f)
	}
	_ = f.close() // what breaks after the commit does not undo it
	if isRowError(got.err) && got.last {
		return lateFailure{got.err}
	}
	return got.err
}

// finish sends a flight that commits nothing, and reads its answers.
func (f *flight) finish() error {
	if err := f.pipe.Sync(); err != nil {
		_ = f.close()
		return err
	}
	got := f.land()
	if err := f.close(); got.err == nil {
		got.err = err
	}
	return got.err
}

// steps make the changes of a group.
type steps struct {
	j       *job
	group   group
	why     error  // with which they failed together
	control string // what must come before the next statement
	sd      *pgconn.StatementDescription
}

// settle makes all changes that can be made, and finds those that cannot. Half of
// what is under suspicion is tried at a time; the rest of it is kept until the guilty
// one is found, so that one among a thousand costs ten statements, and one for those
// that were kept.
func (s *steps) settle(ctx context.Context, edits []edit) error {
	why := s.why
	for pending := edits; len(pending) > 0; why = nil {
		if why == nil {
			err := s.try(ctx, pending)
			if err == nil {
				return nil
			}
			if !isRowError(err) {
				return err
			}
			why = err
		}
		suspects := pending
		pending = nil
		for len(suspects) > 1 {
			left, right := suspects[:len(suspects)/2], suspects[len(suspects)/2:]
			switch err := s.try(ctx, left); {
			case err == nil: // so it is on the right
				suspects = right
			case isRowError(err):
				why, suspects, pending = err, left, slices.Concat(right, pending)
			default:
				return err
			}
		}
		if err := s.convict(ctx, &suspects[0], why); err != nil {
			return err
		}
	}
	return nil
}

// convict fails the last suspect. What kept several from being made together, but
// none of them, is no reason.
func (s *steps) convict(ctx context.Context, e *edit, why error) error {
	refused := refusalIn(why)
	if refused != nil && refused.Code[:2] != "21" {
		s.j.fail(e, why)
		return nil
	}
	err := s.try(ctx, []edit{*e})
	if isRowError(err) {
		s.j.fail(e, err)
		return nil
	}
	return err
}

// try makes changes with one statement, or leaves all as it was.
func (s *steps) try(ctx context.Context, edits []edit) error {
	j := s.j
	g := group{s.group.ch, edits}
	sd := s.sd
	if st := g.shaped(); st.name != "" {
		var err error
		if sd, err = st.prepare(ctx, j.conn); err != nil {
			return err
		}
	}
	f := takeOff(ctx, j.conn)
	f.command(s.control)
	out := len(j.out)
	if err := j.send(f, sd, g); err != nil {
		_ = f.close()
		return err
	}
	if !g.shaped().numbered && j.xid == 0 { // before it is told to commit
		j.askNumber(f)
	}
	err := f.finish()
	s.control = savepoint
	if err != nil {
		s.control = rollbackTo
		j.forget(edits)
		j.out = j.out[:out]
	}
	return err
}
