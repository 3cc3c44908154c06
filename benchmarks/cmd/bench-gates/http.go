package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fulcrum-data/fulcrum/benchmarks/duel"
	"github.com/fulcrum-data/fulcrum/benchmarks/pgusers"
)

// httpCells compares the gateway with a plain handler over the same database.
func httpCells() ([]duel.Cell, func(), error) {
	b, err := pgusers.Start()
	if err != nil {
		return nil, nil, err
	}
	cells, err := httpDuels(b)
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	return cells, b.Close, nil
}

func httpDuels(b *pgusers.Server) ([]duel.Cell, error) {
	dir, err := os.MkdirTemp("", "bench-gates-*")
	if err != nil {
		return nil, err
	}
	b.Closing(func() { _ = os.RemoveAll(dir) })
	theirs, err := startPlain(b)
	if err != nil {
		return nil, err
	}
	ours, err := startGateway(b, dir)
	if err != nil {
		return nil, err
	}
	if err := sameAnswers(ours, theirs); err != nil {
		return nil, err
	}
	var cells []duel.Cell
	for _, c := range []struct {
		conns        int
		gate, target float64
	}{{1, .95, 0}, {64, 1.6, 2}, {256, 2, 2.5}} {
		cells = append(cells, duel.Cell{
			Name: fmt.Sprintf("%d connections, plain net/http handler", c.conns), Gate: c.gate, Target: c.target, Alone: c.conns == 1,
			Ours: overHTTP(ours, c.conns), Theirs: overHTTP(theirs, c.conns),
		})
	}
	return cells, nil
}

const gatewayConfig = `
listen: 127.0.0.1:0
admin: 127.0.0.1:0
store: %q
resources:
  users: {table: users, key: id, columns: [id, name, email, bio, updated_at]}
`

// startGateway starts ours, the program that people deploy, and returns its address.
func startGateway(b *pgusers.Server, dir string) (string, error) {
	return startProgram(b, filepath.Join(dir, "fulcrum"), filepath.Join(dir, "fulcrum.yaml"), gatewayConfig)
}

// startProgram builds fulcrum and has it serve a configuration.
func startProgram(b *pgusers.Server, program, file, config string) (string, error) {
	if err := os.WriteFile(file, fmt.Appendf(nil, config, b.DSN()), 0o600); err != nil {
		return "", err
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/fulcrum-data/fulcrum").Output()
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", program, "./cmd/fulcrum")
	build.Dir, build.Stderr = strings.TrimSpace(string(root)), os.Stderr
	if err := build.Run(); err != nil {
		return "", err
	}
	return start(b, exec.Command(program, "serve", "-c", file))
}

// startPlain starts theirs: this program once more, as a plain server.
func startPlain(b *pgusers.Server) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return start(b, exec.Command(self, "-serve-plain", b.DSN()))
}

var serving = regexp.MustCompile(`data\S*http://([0-9.:]+)`)

// start starts a server and waits until it says where it listens. Each server is a
// process of its own, as they are where people use them.
func start(b *pgusers.Server, cmd *exec.Cmd) (addr string, err error) {
	out, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	b.Closing(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		if at := serving.FindStringSubmatch(lines.Text()); at != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return at[1], nil
		}
	}
	return "", fmt.Errorf("%s did not start: %s", cmd.Path, strings.Join(said, "; "))
}

// servePlain is theirs, until it is interrupted.
func servePlain(dsn string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return err
	}
	cfg.MaxConns, cfg.MinConns = 10, 10
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "data=http://%s\n", listener.Addr())
	server := &http.Server{Handler: plainHandler(pool)}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// plainHandler is what one writes first: a pooled query for each request.
func plainHandler(pool *pgxpool.Pool) http.Handler {
	type row struct {
		ID        int64     `json:"id"`
		Name      string    `json:"name"`
		Email     string    `json:"email"`
		Bio       string    `json:"bio"`
		UpdatedAt time.Time `json:"updated_at"`
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p, err := pgusers.One(r.Context(), pool, id)
		if errors.Is(err, pgx.ErrNoRows) {
			http.NotFound(w, r)
			return
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body, err := json.Marshal(row(p))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	return mux
}

// sameAnswers makes sure that both write the same row.
func sameAnswers(ours, theirs string) error {
	var rows []any
	for _, addr := range []string{ours, theirs} {
		resp, err := http.Get("http://" + addr + "/v1/users/4711")
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		var fields struct {
			ID               int
			Name, Email, Bio string
			UpdatedAt        time.Time `json:"updated_at"`
		}
		if err := json.Unmarshal(text, &fields); err != nil {
			return fmt.Errorf("%s answered %q: %w", addr, text, err)
		}
		fields.UpdatedAt = fields.UpdatedAt.UTC()
		rows = append(rows, fields)
	}
	if rows[0] != rows[1] {
		return fmt.Errorf("the gateway and the plain handler answer differently: %v, %v", rows[0], rows[1])
	}
	return nil
}

// overHTTP is a closed loop over so many connections, made once and kept.
func overHTTP(addr string, conns int) func(time.Duration) (float64, error) {
	open := sync.OnceValues(func() (*clients, error) { return dial(addr, conns) })
	return func(d time.Duration) (float64, error) {
		c, err := open()
		if err != nil {
			return 0, err
		}
		return c.run(d)
	}
}
