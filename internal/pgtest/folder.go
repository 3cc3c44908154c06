//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockName is a file in every server's folder. Its owner holds a lock on it,
// which the kernel releases when the owner dies.
const lockName = "owner.lock"

// baseFolder is where a user's templates and servers live. It is readable for
// others because root's servers run as another account.
func baseFolder(durable bool) (string, error) {
	base := filepath.Join(parentFolder(durable), fmt.Sprintf("fulcrum-pgtest-%d", os.Geteuid()))
	if err := os.Mkdir(base, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	info, err := os.Lstat(base)
	if err != nil {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("pgtest: %s is not a folder of ours", base)
	}
	return base, nil
}

// memoryFolder is a file system in memory on Linux.
const memoryFolder = "/dev/shm"

// parentFolder prefers memory for servers that need not be durable: a server
// is a thousand small files, and ext4 takes half a second to make them where
// as many were deleted a moment ago. Containers often have very little of
// that memory, hence the check. TMPDIR, if set, decides.
func parentFolder(durable bool) string {
	const enough = 2 << 30 // bytes
	var st unix.Statfs_t
	if !durable && os.Getenv("TMPDIR") == "" && runtime.GOOS == "linux" &&
		unix.Access(memoryFolder, unix.W_OK) == nil && unix.Statfs(memoryFolder, &st) == nil &&
		uint64(st.Bavail)*uint64(st.Bsize) > enough {
		return memoryFolder
	}
	return os.TempDir()
}

// A folder is one server's place on disk.
type folder struct {
	path string
	lock *os.File // held while we live
}

// newFolder makes a locked folder that belongs to the servers' account.
func (in *install) newFolder(durable bool) (*folder, error) {
	base, err := baseFolder(durable)
	if err != nil {
		return nil, err
	}
	sweepOnce(base)
	path, err := os.MkdirTemp(base, "server-")
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	f := &folder{path: path}
	if f.lock, err = lockFile(filepath.Join(path, lockName), syscall.LOCK_EX); err == nil {
		err = in.give(path)
	}
	if err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

// data is PostgreSQL's data directory.
func (f *folder) data() string { return filepath.Join(f.path, "data") }

// log is where the server writes its messages.
func (f *folder) log() string { return filepath.Join(f.path, "log") }

// remove deletes the folder, then lets go of the lock.
func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}

// appendTo adds text to a file of the data directory.
func (f *folder) appendTo(name, text string) error {
	file, err := os.OpenFile(filepath.Join(f.data(), name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	_, err = file.WriteString("\n" + text)
	return errors.Join(err, file.Close())
}

// lockFile opens a file and locks it; closing it unlocks.
func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pgtest: lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

var swept sync.Map // from a base folder to nothing

// sweepOnce sweeps a base folder the first time that this process uses it.
func sweepOnce(base string) {
	if _, done := swept.LoadOrStore(base, nil); !done {
		sweep(base)
	}
}

// sweep removes what dead processes left behind: server folders whose lock is
// free. A minute of grace covers the moment between making a folder and
// locking it. Whatever cannot be removed stays for the next process.
func sweep(base string) {
	folders, _ := filepath.Glob(filepath.Join(base, "server-*"))
	for _, path := range folders {
		info, err := os.Lstat(path)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		lock, err := lockFile(filepath.Join(path, lockName), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		os.RemoveAll(path)
		lock.Close()
	}
}

// freePort finds a loopback port that nobody listens on. It stays below the
// range from which systems take ports for outgoing connections, so that a
// server which is stopped finds its port free when it starts again.
func freePort() (int, error) {
	const low, high, attempts = 20000, 32000, 100
	var err error
	for range attempts {
		port := low + rand.IntN(high-low)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("pgtest: no free port: %w", err)
}
