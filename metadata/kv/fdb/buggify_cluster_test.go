//go:build fdb

package fdb_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/undercroft/undercroft/internal/fdbcluster"
	"github.com/undercroft/undercroft/metadata/kv/fdb"
)

// buggyCluster is the cluster file of a test that runs with a client library that
// fails on purpose, which is for a whole process.
const buggyCluster = "UNDERCROFT_TEST_BUGGY_CLUSTER"

// The client library itself can fail on purpose: reads that are too old or too
// new, commits that conflict, are refused, are unknown and applied or unknown
// and lost, and those that time out under way.
func TestNothingIsLostOrDoneTwiceBesideFaultsOfTheClient(t *testing.T) {
	if file := os.Getenv(buggyCluster); file != "" {
		besideFaultsOfTheClient(t, file)
		return
	}
	c := fdbcluster.Shared(t, shapes()[0])
	prefix := clearing(t, c, fdbcluster.Prefix())
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(),
		buggyCluster+"="+c.ClusterFile(), buggyCluster+"_PREFIX="+string(prefix),
		"FDB_NETWORK_OPTION_CLIENT_BUGGIFY_ENABLE=",
		"FDB_NETWORK_OPTION_CLIENT_BUGGIFY_SECTION_ACTIVATED_PROBABILITY=100",
		"FDB_NETWORK_OPTION_CLIENT_BUGGIFY_SECTION_FIRED_PROBABILITY=5",
	)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func besideFaultsOfTheClient(t *testing.T, file string) {
	t.Helper()
	e, err := fdb.Open(fdb.Options{ClusterFile: file, Prefix: []byte(os.Getenv(buggyCluster + "_PREFIX"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	l := begin(t, e, 6)
	l.await(t, 300, done)
	l.await(t, 30, unknown)
	l.end(t)
	if n := e.Stats(); n.Conflicts == 0 || n.TooOld == 0 || n.Busy == 0 || n.Unknown == 0 {
		t.Errorf("some of the faults did not come: %+v", n)
	}
}
