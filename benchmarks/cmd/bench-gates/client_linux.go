package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
)

// clients are connections that each ask for the next row as soon as they have the
// last. One thread looks after all of them and reads no more of an answer than it
// must, so that little of the machine goes into asking: goroutines would take half
// as much again.
type clients struct {
	epoll int
	all   []*client // by file descriptor; nil where there is none
}

// client is one connection.
type client struct {
	fd      int
	id      int64  // what it asked for
	out, in []byte // in: what has arrived of the answer
}

const (
	answerRoom = 8 << 10         // bytes
	patience   = 5 * time.Second // for the next answer
)

func dial(addr string, conns int) (*clients, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	c := &clients{epoll: epoll}
	for range conns {
		if err := c.add(to); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *clients) add(to netip.AddrPort) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if err := errors.Join(
		syscall.SetNonblock(fd, true),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}),
	); err != nil {
		return err
	}
	for len(c.all) <= fd {
		c.all = append(c.all, nil)
	}
	c.all[fd] = &client{fd: fd, in: make([]byte, 0, answerRoom)}
	return nil
}

// run asks for so long and says how many rows a second came.
func (c *clients) run(d time.Duration) (float64, error) {
	out := 0
	for _, one := range c.all {
		if one == nil {
			continue
		}
		if err := one.ask(); err != nil {
			return 0, err
		}
		out++
	}
	begin, events, rows := time.Now(), make([]syscall.EpollEvent, out), 0
	for out > 0 {
		n, err := syscall.EpollWait(c.epoll, events, int(patience.Milliseconds()))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("epoll_wait", err)
		}
		if n == 0 {
			return 0, fmt.Errorf("%d requests had no answer within %s", out, patience)
		}
		over := time.Since(begin) >= d
		for _, e := range events[:n] {
			whole, err := c.all[e.Fd].read()
			switch {
			case err != nil:
				return 0, err
			case !whole:
				continue
			}
			rows++
			if over {
				out--
			} else if err := c.all[e.Fd].ask(); err != nil {
				return 0, err
			}
		}
	}
	return float64(rows) / time.Since(begin).Seconds(), nil
}

func (c *client) ask() error {
	c.id = pgusers.RandomID()
	c.out = append(c.out[:0], "GET /v1/users/"...)
	c.out = strconv.AppendInt(c.out, c.id, 10)
	c.out = append(c.out, " HTTP/1.1\r\nHost: localhost\r\n\r\n"...)
	n, err := syscall.Write(c.fd, c.out)
	if err == nil && n < len(c.out) { // so few bytes always fit, unless the server takes none
		err = fmt.Errorf("wrote %d of %d bytes", n, len(c.out))
	}
	return os.NewSyscallError("write", err)
}

// read takes what has arrived and says whether that is the whole answer.
func (c *client) read() (whole bool, err error) {
	n, err := syscall.Read(c.fd, c.in[len(c.in):cap(c.in)])
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return false, nil
	case err != nil:
		return false, os.NewSyscallError("read", err)
	case n == 0:
		return false, fmt.Errorf("the server closed the connection after %d bytes of an answer", len(c.in))
	}
	c.in = c.in[:len(c.in)+n]
	length, err := c.length()
	if err != nil || length == 0 || len(c.in) < length {
		return false, err
	}
	c.in = c.in[:0]
	return true, nil
}

var (
	okStatus     = []byte("HTTP/1.1 200 ")
	lengthHeader = []byte("\r\nContent-Length: ")
	headerEnd    = []byte("\r\n\r\n")
)

// length is that of the answer with its header, 0 as long as that is not known. The
// row must be the one that was asked for.
func (c *client) length() (int, error) {
	end := bytes.Index(c.in, headerEnd)
	if end < 0 {
		return 0, nil
	}
	if !bytes.HasPrefix(c.in, okStatus) {
		return 0, fmt.Errorf("key %d: %.40q", c.id, c.in)
	}
	body := end + len(headerEnd)
	at := bytes.Index(c.in[:end], lengthHeader)
	if at < 0 {
		return 0, fmt.Errorf("key %d: no length: %.200q", c.id, c.in)
	}
	length := 0
	for _, digit := range c.in[at+len(lengthHeader) : end+1] {
		if digit < '0' || digit > '9' {
			break
		}
		length = length*10 + int(digit-'0')
	}
	if body+length > cap(c.in) {
		return 0, fmt.Errorf("key %d: an answer of %d bytes is longer than the room for it", c.id, body+length)
	}
	if len(c.in) < body+length {
		return 0, nil
	}
	if want := strconv.AppendInt([]byte(`{"id":`), c.id, 10); !bytes.HasPrefix(c.in[body:], append(want, ',')) {
		return 0, fmt.Errorf("key %d was answered with %.40q", c.id, c.in[body:])
	}
	return body + length, nil
}
