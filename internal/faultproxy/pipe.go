package faultproxy

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A pipe is one direction of a link. Its reader stamps what it reads with a
// due time and queues it; its writer waits for that time and writes.
type pipe struct {
	link     *link
	dir      Direction
	src, dst *net.TCPConn
	reverse  *pipe
	queue    *queue
	alarm    *alarm
	muted    atomic.Bool // discard instead of writing
}

func newPipe(l *link, dir Direction, src, dst *net.TCPConn) (*pipe, error) {
	a, err := newAlarm()
	if err != nil {
		return nil, err
	}
	return &pipe{link: l, dir: dir, src: src, dst: dst, queue: newQueue(l.proxy.opts.Buffer), alarm: a}, nil
}

// close wakes the reader and the writer for good.
func (p *pipe) close() {
	p.queue.close()
	p.alarm.close()
}

// read runs until the source ends, the link does, or the hook says so.
func (p *pipe) read() {
	for {
		room := p.queue.room()
		if room == nil {
			return
		}
		n, err := p.src.Read(room)
		if n > 0 && !p.handle(room[:n]) {
			return
		}
		if err != nil {
			p.queue.put(0, p.due(), endOf(err))
			return
		}
	}
}

// handle does with new data what the hook wants; false means that it was the
// last. The data lies in the queue's free room.
func (p *pipe) handle(data []byte) bool {
	action := Pass
	if hook := p.link.proxy.opts.OnData; hook != nil {
		action = hook(p.dir, data)
	}
	switch action {
	case CutBefore:
		p.link.reset()
		return false
	case CutAfter:
		p.reverse.muted.Store(true)
		p.queue.put(len(data), p.due(), lastWords)
		return false
	}
	st := p.link.proxy.state.Load()
	if st.oneWay == 0 && !st.hung && p.queue.empty() {
		if p.deliver(data) != nil {
			p.queue.close() // sends the writer home
			return false
		}
		return true
	}
	p.queue.put(len(data), time.Now().Add(st.oneWay), goesOn)
	return true
}

// due is when something read now is to be written.
func (p *pipe) due() time.Time {
	return time.Now().Add(p.link.proxy.state.Load().oneWay)
}

// endOf says how a stream ended.
func endOf(err error) ending {
	if errors.Is(err, io.EOF) {
		return finished
	}
	return broken
}

// write runs until it has written the end of the stream or cannot write.
func (p *pipe) write() {
	defer p.queue.close()
	for {
		due, ok := p.queue.head()
		if !ok || !p.alarm.wait(due) || !p.link.passable() {
			return
		}
		now := time.Now()
		if now.Before(due) { // the alarm may be a little early
			now = due
		}
		data, end := p.queue.ready(now)
		if len(data) > 0 && p.deliver(data) != nil {
			return
		}
		p.queue.take(len(data))
		if end != goesOn {
			p.finish(end)
			return
		}
	}
}

// deliver writes to the destination. An error is not passed on as a reset: the
// destination may have said something before it went away, and that is still
// in the reverse pipe, followed by its end.
func (p *pipe) deliver(data []byte) error {
	if p.muted.Load() {
		return nil
	}
	_, err := p.dst.Write(data)
	return err
}

// finish passes the end of the stream on.
func (p *pipe) finish(end ending) {
	switch end {
	case finished:
		if !p.muted.Load() {
			p.dst.CloseWrite()
		}
	case lastWords:
		resetConn(p.src)
		p.dst.CloseWrite()
	case broken:
		p.link.reset()
	}
}
