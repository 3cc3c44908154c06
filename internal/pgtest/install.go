//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// An install is the PostgreSQL found on this machine and the account to run
// it as.
type install struct {
	bin     string              // the folder of its programs
	version string              // such as "15.18"
	account *syscall.Credential // nil: as ourselves
}

// findInstall looks once per process.
var findInstall = sync.OnceValues(func() (*install, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	in := &install{bin: bin}
	if in.version, err = versionOf(bin); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if in.account, err = postgresAccount(); err != nil {
			return nil, err
		}
	}
	return in, nil
})

var errNoPostgres = errors.New("pgtest: no PostgreSQL server found in /usr/lib/postgresql/*/bin, " +
	"through pg_config or in PATH; `make deps` installs it")

// findBin returns the folder with the server's programs, the newest if there
// are several.
func findBin() (string, error) {
	var found string
	var newest float64
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, f := range folders {
		v, err := strconv.ParseFloat(filepath.Base(filepath.Dir(f)), 64)
		if err == nil && v > newest && complete(f) {
			found, newest = f, v
		}
	}
	if found != "" {
		return found, nil
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		if f := strings.TrimSpace(string(out)); complete(f) {
			return f, nil
		}
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		if f := filepath.Dir(p); complete(f) {
			return f, nil
		}
	}
	return "", errNoPostgres
}

// complete says whether a folder has every program that we run.
func complete(folder string) bool {
	for _, name := range []string{"postgres", "initdb", "pg_basebackup"} {
		if _, err := exec.LookPath(filepath.Join(folder, name)); err != nil {
			return false
		}
	}
	return true
}

// versionOf reads "postgres (PostgreSQL) 15.18 (Debian …)".
func versionOf(bin string) (string, error) {
	out, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("pgtest: postgres --version: %w", err)
	}
	words := strings.Fields(string(out))
	if len(words) < 3 {
		return "", fmt.Errorf("pgtest: postgres --version said %q", out)
	}
	return words[2], nil
}

// postgresAccount is whom root becomes to run a server.
func postgresAccount() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("pgtest: PostgreSQL must not run as root and there is no account for it; `make deps` makes one: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: account postgres: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: account postgres: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// command prepares one of PostgreSQL's programs, or another by its path, to
// run as the right account in a folder that this account may enter. It gets a
// process group of its own, so that Ctrl-C reaches us alone and we decide.
func (in *install) command(ctx context.Context, folder, name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(in.bin, name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: in.account, Setpgid: true}
	return cmd
}

// run runs a program to its end; what it printed is in the error.
func (in *install) run(ctx context.Context, folder, name string, args ...string) error {
	out, err := in.command(ctx, folder, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pgtest: %s: %w\n%s", filepath.Base(name), err, out)
	}
	return nil
}

// give hands a file or folder to the account that the servers run as.
func (in *install) give(path string) error {
	if in.account == nil {
		return nil
	}
	return os.Chown(path, int(in.account.Uid), int(in.account.Gid))
}
