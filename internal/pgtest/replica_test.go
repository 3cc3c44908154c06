//go:build unix

package pgtest

import (
	"io"
	"net"
	"sync"
	"testing"
)

func TestAReplicaFollowsLagsAndTakesOver(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	primary := Start(t)
	must(t, primary.Exec(ctx, "create table t (n int)"))
	r, err := primary.AddReplica(ctx, ReplicaConfig{Name: "r1", Settings: map[string]string{"work_mem": "5MB"}})
	must(t, err)
	if got := value(t, r.Server, "show work_mem"); got != "5MB" {
		t.Errorf("work_mem is %s", got)
	}

	must(t, primary.Exec(ctx, "insert into t values (1)"))
	must(t, r.CatchUp(ctx, primary))
	expectRows(t, r, "1")
	if got := value(t, primary, "select application_name from pg_stat_replication"); got != "r1" {
		t.Errorf("the primary knows it as %q", got)
	}

	must(t, r.PauseReplay(ctx))
	must(t, primary.Exec(ctx, "insert into t values (2)"))
	expectRows(t, r, "1")
	must(t, r.ResumeReplay(ctx))
	must(t, r.CatchUp(ctx, primary))
	expectRows(t, r, "2")

	must(t, r.Restart(ctx))
	must(t, primary.Exec(ctx, "insert into t values (3)"))
	must(t, r.CatchUp(ctx, primary))
	expectRows(t, r, "3")

	must(t, primary.Kill())
	must(t, r.Promote(ctx))
	must(t, r.Exec(ctx, "insert into t values (4)"))
	expectRows(t, r, "4")
}

func expectRows(t *testing.T, r *Replica, want string) {
	t.Helper()
	if got := value(t, r.Server, "select count(*) from t"); got != want {
		t.Errorf("the replica has %s rows, want %s", got, want)
	}
}

func TestReplicasMayStartTogetherAndStreamThroughAProxy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	primary := Start(t)
	via := forward(t, primary.Addr())
	var wg sync.WaitGroup
	for _, cfg := range []ReplicaConfig{{Name: "r1"}, {Name: "r2", Upstream: via}} {
		wg.Go(func() {
			r, err := primary.AddReplica(ctx, cfg)
			if err != nil {
				t.Error(err)
				return
			}
			if err := r.CatchUp(ctx, primary); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := value(t, primary, "select count(*) from pg_stat_replication where state='streaming'"); got != "2" {
		t.Errorf("%s replicas stream, want 2", got)
	}
}

// forward passes connections on to an address and returns its own.
func forward(t *testing.T, target string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			go func() { io.Copy(server, client); server.Close() }()
			go func() { io.Copy(client, server); client.Close() }()
		}
	}()
	return l.Addr().String()
}
