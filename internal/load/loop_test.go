package load

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// inLoop makes the steps of the tests run in a loop instead of over callers.
var inLoop bool

// either runs a step over callers or in a loop.
func either(ctx context.Context, cfg Config) (*Step, error) {
	if inLoop {
		cfg.Target = looping{cfg.Target, cfg.waiter()}
	}
	return Run(ctx, cfg)
}

// What holds over callers holds in a loop.
func TestAllInALoop(t *testing.T) {
	inLoop = true
	defer func() { inLoop = false }()
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"stall is seen", TestStallIsSeen},
		{"closed loop hides the stall", TestClosedLoopHidesTheStall}, // for which there is no loop
		{"invalid steps", TestInvalidSteps},
		{"late generator", TestLateGeneratorSaysSo},
		{"frozen generator", TestFrozenGeneratorSentNothing},
		{"interrupted", TestInterruptedStepIsInvalid},
		{"warm-up", TestWarmup},
		{"trace ends the step", TestTraceEndsTheStep},
		{"same seed, same requests", TestSameSeedSameRequests},
		{"nothing is lost", TestNothingIsLost},
		{"window is told", TestWindowIsTold},
		{"trace arrives as recorded", TestTraceArrivesAsRecorded},
	} {
		t.Run(c.name, c.test)
	}
}

// looping is a target whose callers are asked by a loop.
type looping struct {
	Target
	waiter waiter
}

func (l looping) Loop(ctx context.Context, answered func(Answer)) Loop {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	_, virtual := l.waiter.(virtual)
	return &fakeLoop{looping: l, calls: ctx, cancel: cancel, virtual: virtual, answered: answered, came: make(chan Answer)}
}

// fakeLoop asks on a goroutine for each request.
type fakeLoop struct {
	looping
	calls    context.Context
	cancel   func()
	virtual  bool // else it does nothing while it sleeps
	answered func(Answer)
	came     chan Answer
}

func (l *fakeLoop) Send(id int, r *Request) {
	own := *r
	own.Keys = slices.Clone(r.Keys)
	go func() {
		err := l.Caller().Call(l.calls, &own)
		select {
		case l.came <- Answer{id, own.FirstByte, err}:
		case <-l.calls.Done():
		}
	}()
}

func (l *fakeLoop) Wait(d time.Duration) {
	if !l.virtual {
		l.waiter.wait(d)
		d = 0
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case a := <-l.came:
		l.answered(a)
	case <-timer.C:
		return
	}
	for {
		select {
		case a := <-l.came:
			l.answered(a)
		default:
			return
		}
	}
}

func (l *fakeLoop) Close() { l.cancel() }

// nowhere is a target that has a loop, but not now.
type nowhere struct{ Target }

func (nowhere) Loop(context.Context, func(Answer)) Loop { return nil }

func TestCallersStandInForALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, Config{Target: nowhere{freezing(0, 0)}, Rate: 1000, Duration: time.Second})
		if s.Good == 0 || s.Good != s.Due || s.Verdict() != "" {
			t.Errorf("%d of %d, %q", s.Good, s.Due, s.Verdict())
		}
	})
}

// A loop that takes long to begin makes nobody late.
type tardy struct{ looping }

func (l tardy) Loop(ctx context.Context, answered func(Answer)) Loop {
	time.Sleep(time.Second)
	return l.looping.Loop(ctx, answered)
}

func TestTheStepBeginsWithTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, Config{Target: tardy{looping{freezing(0, 0), virtual{}}}, Rate: 1000, Duration: time.Second})
		if s.Good != s.Due || s.Lag.Max() > time.Millisecond || s.Verdict() != "" {
			t.Errorf("%d of %d, lag up to %s, %q", s.Good, s.Due, s.Lag.Max(), s.Verdict())
		}
	})
}
