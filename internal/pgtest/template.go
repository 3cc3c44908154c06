//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// cloneTemplate fills a new data directory from the template, which it makes
// if there is none yet on the same file system.
func (in *install) cloneTemplate(ctx context.Context, data string) error {
	template, err := in.template(ctx, filepath.Dir(filepath.Dir(data)))
	if err != nil {
		return err
	}
	cp, err := exec.LookPath("cp")
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return in.run(ctx, filepath.Dir(data), cp, "-a", template, data)
}

// template returns the folder in a base folder that initdb made. It appears by a rename and
// never changes, so readers need no lock. The day is part of its name, because
// cleaners of temporary folders remove old files one by one and a template
// with holes would be hard to explain.
func (in *install) template(ctx context.Context, base string) (string, error) {
	day := time.Now().UTC().Format(time.DateOnly)
	path := filepath.Join(base, "template-"+in.version+"-"+day)
	if exists(path) {
		return path, nil
	}
	lock, err := lockFile(filepath.Join(base, "template.lock"), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if exists(path) { // made while we waited for the lock
		return path, nil
	}
	removeOldTemplates(base)
	return path, in.makeTemplate(ctx, path)
}

// makeTemplate runs initdb beside the path and moves the result there.
func (in *install) makeTemplate(ctx context.Context, path string) error {
	building := filepath.Join(filepath.Dir(path), "building")
	if err := os.RemoveAll(building); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if err := os.Mkdir(building, 0o700); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if err := in.give(building); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	err := in.initdb(ctx, building)
	if err != nil {
		return errors.Join(err, os.RemoveAll(building))
	}
	if err := os.Rename(building, path); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

// makeCluster makes a data directory anew, with a system identifier of its own.
func (in *install) makeCluster(ctx context.Context, data string) error {
	if err := os.Mkdir(data, 0o700); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if err := in.give(data); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return in.initdb(ctx, data)
}

func (in *install) initdb(ctx context.Context, data string) error {
	return in.run(ctx, data, "initdb", "-D", data, "-U", "postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
}

// removeOldTemplates forgets templates that nobody can be copying any more.
// The caller holds the template lock.
func removeOldTemplates(base string) {
	templates, _ := filepath.Glob(filepath.Join(base, "template-*-*"))
	for _, path := range templates {
		if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > 48*time.Hour {
			os.RemoveAll(path)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
