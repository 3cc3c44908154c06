package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

const writableShop = "store: sqlite:DIR/shop.db\nresources:\n  users: {table: users, key: id, columns: [id, name], writable: true}\n"

func TestInit(t *testing.T) {
	dir := shop(t)
	file := write(t, dir, writableShop)
	code, out, errs := try(t.Context(), "deadletter", "list", "-c", file)
	if code != exitFailed || !strings.Contains(errs, "run fulcrum init") {
		t.Errorf("before: %d %q %q", code, out, errs)
	}
	code, out, _ = try(t.Context(), "init", "-c", file, "--print")
	if code != exitDone || !strings.Contains(out, "create table if not exists fulcrum_once") {
		t.Errorf("print: %d %q", code, out)
	}
	for range 2 { // the second one changes nothing
		code, out, errs = try(t.Context(), "init", "-c", file)
		if code != exitDone || !strings.Contains(out, "has the tables fulcrum_once") {
			t.Errorf("init: %d %q %q", code, out, errs)
		}
	}
	code, out, _ = try(t.Context(), "deadletter", "list", "-c", file)
	if code != exitDone || out != "0 dead letters\n" {
		t.Errorf("after: %d %q", code, out)
	}
}

func TestDeadLetterCommands(t *testing.T) {
	dir := shop(t)
	file := write(t, dir, writableShop)
	if code, _, errs := try(t.Context(), "init", "-c", file); code != exitDone {
		t.Fatal(errs)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, body := range []string{`{"name":"Eve"}`, `{"name":null}`, `{"name":"x"}`} {
		_, err := db.ExecContext(t.Context(), `insert into fulcrum_dead_letters (at, resource, scope, op, key, body, if_version, if_absent, error)
			values (1767323045000, 'users', '', 0, '7', ?, '', 0, 'why')`, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
	}
	code, out, _ := try(t.Context(), "deadletter", "list", "-c", file)
	if code != exitDone || !strings.Contains(out, "1  2026-01-02T03:04:05Z  put users/7  why\n") || !strings.HasSuffix(out, "3 dead letters\n") {
		t.Errorf("list: %d %q", code, out)
	}
	code, out, errs := try(t.Context(), "deadletter", "replay", "-c", file, "1", "2", "99")
	if code != exitFailed || out != "1 made, 2 failed\n" || !strings.Contains(errs, "dead letter 2: ") || !strings.Contains(errs, "there is no dead letter 99") {
		t.Errorf("replay: %d %q %q", code, out, errs)
	}
	code, out, _ = try(t.Context(), "deadletter", "discard", "-c", file, "2", "99")
	if code != exitDone || out != "1 dead letter discarded\n" {
		t.Errorf("discard: %d %q", code, out)
	}
	code, out, _ = try(t.Context(), "deadletter", "list", "-c", file, "--json")
	if want := `{"id":3,"time":"2026-01-02T03:04:05Z","resource":"users","op":"put","key":"7","body":{"name":"x"},"error":"why"}` + "\n"; code != exitDone || out != want {
		t.Errorf("json: %d %q", code, out)
	}
	var name string
	if err := db.QueryRowContext(t.Context(), "select name from users where id = 7").Scan(&name); err != nil || name != "Eve" {
		t.Errorf("row 7 is %q, %v", name, err)
	}
	if code, _, errs := try(t.Context(), "deadletter", "list", "-c", file, "--limit", "0"); code != exitUsage {
		t.Errorf("limit 0: %d %q", code, errs)
	}
}

// A gateway that serves has its journals for itself; on-call works beside it.
func TestCommandsBesideAGateway(t *testing.T) {
	dir := shop(t)
	file := write(t, dir, writableShop+"journal: DIR/journals\n")
	if code, _, errs := try(t.Context(), "check", "-c", file); code == exitDone {
		t.Error("check misses that the tables are not there:", errs)
	}
	if code, _, errs := try(t.Context(), "init", "-c", file); code != exitDone {
		t.Fatal(errs)
	}
	serving, _, err := configure(t.Context(), file, io.Discard, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(serving.gateway.Shutdown(context.Background()), serving.db.Close()) })
	for _, command := range [][]string{{"check"}, {"deadletter", "list"}} {
		if code, out, errs := try(t.Context(), append(command, "-c", file)...); code != exitDone {
			t.Errorf("%s: %d %q %q", command, code, out, errs)
		}
	}
}
