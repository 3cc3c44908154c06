package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kinds are the servers that the parts load.
var kinds = map[string]func() http.HandlerFunc{
	"plain":  func() http.HandlerFunc { return ok },
	"freeze": freeze,
	"slow":   overloaded,
	"hangs up": func() http.HandlerFunc {
		return everyFiftieth(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	},
	"never answers": func() http.HandlerFunc {
		return everyFiftieth(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	},
	"refuses": func() http.HandlerFunc {
		return everyFiftieth(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	},
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

const (
	freezeAt  = 4 * time.Second // after a request to /begin
	freezeFor = time.Second
)

// freeze stands still once.
func freeze() http.HandlerFunc {
	var begun atomic.Pointer[time.Time]
	return func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		if r.URL.Path == "/begin" {
			begun.Store(&now)
		}
		if b := begun.Load(); b != nil {
			if at := now.Sub(*b); at >= freezeAt && at < freezeAt+freezeFor {
				time.Sleep(freezeAt + freezeFor - at)
			}
		}
		ok(w, r)
	}
}

// overloaded does one request at a time, about 900 a second.
func overloaded() http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		time.Sleep(time.Millisecond)
		mu.Unlock()
		ok(w, r)
	}
}

func everyFiftieth(fail http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%50 == 0 {
			fail(w, r)
		}
		ok(w, r)
	}
}

// serve is a server until it is interrupted.
func serve(kind string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	server := &http.Server{Handler: kinds[kind]()}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.Serve(l) // ends when it is closed
	return nil
}

// startServer starts a process of its own, pinned to some processors unless they are
// empty.
func startServer(kind, processors string) (url string, stop func(), err error) {
	cmd, err := self(processors, "-serve", kind)
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("the server %q did not start: %w", kind, err)
	}
	return strings.TrimSpace(line), stop, nil
}

// self is this program once more.
func self(processors string, args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if processors != "" {
		args = append([]string{"-c", processors, path}, args...)
		path = "taskset"
	}
	cmd := exec.Command(path, args...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}
