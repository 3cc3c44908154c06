package gateway

import (
	"net"
	"sync"
	"time"
)

// listener accepts connections whose deadlines cost less.
type listener struct{ net.Listener }

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}

// conn sets a deadline when somebody reads or writes under it, and not again while
// it is the same. net/http changes a connection's deadlines seven times for each
// request, mostly before anybody has read under the last one; each time is a timer,
// and on an idle machine a thread that is woken.
type conn struct {
	net.Conn
	mu          sync.Mutex // guards both
	read, write bound
}

// bound is one of a connection's two.
type bound struct {
	set    func(time.Time) error // on the connection
	wanted time.Time             // what it should be
	told   time.Time             // what the connection knows
	busy   int                   // calls under it
}

func newConn(c net.Conn) *conn {
	return &conn{Conn: c, read: bound{set: c.SetReadDeadline}, write: bound{set: c.SetWriteDeadline}}
}

// Read reads under the read deadline.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.enter(&c.read); err != nil {
		return 0, err
	}
	defer c.leave(&c.read)
	return c.Conn.Read(b)
}

// Write writes under the write deadline.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.enter(&c.write); err != nil {
		return 0, err
	}
	defer c.leave(&c.write)
	return c.Conn.Write(b)
}

// SetReadDeadline is for calls to Read, those in progress too.
func (c *conn) SetReadDeadline(t time.Time) error { return c.want(&c.read, t) }

// SetWriteDeadline is for calls to Write, those in progress too.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.want(&c.write, t) }

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	err := c.SetReadDeadline(t)
	if err == nil {
		err = c.SetWriteDeadline(t)
	}
	return err
}

// CloseWrite tells the client that nothing more will come, which is how net/http
// ends a connection on which it refused to read on.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *conn) enter(d *bound) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.busy++
	err := d.apply()
	if err != nil {
		d.busy--
	}
	return err
}

func (c *conn) leave(d *bound) {
	c.mu.Lock()
	d.busy--
	c.mu.Unlock()
}

// grain is what distant deadlines are rounded up to, so that they change rarely.
const grain = time.Second

func (c *conn) want(d *bound, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.wanted = t
	if d.busy == 0 {
		return nil
	}
	return d.apply()
}

// apply tells the connection, if it does not know.
func (d *bound) apply() error {
	if d.wanted.Equal(d.told) {
		return nil
	}
	if !d.wanted.IsZero() && time.Until(d.wanted) > 2*grain {
		d.wanted = d.wanted.Truncate(grain).Add(grain)
		if d.wanted.Equal(d.told) {
			return nil
		}
	}
	err := d.set(d.wanted)
	if err == nil {
		d.told = d.wanted
	}
	return err
}
