package fdbcluster

import (
	"fmt"
	"strings"
)

// Storage engines of FoundationDB.
const (
	Redwood = "ssd-redwood-1"
	SQLite  = "ssd"
)

// Shape says what a cluster is made of.
type Shape struct {
	Processes  int
	Redundancy string // single, double or triple
	Engine     string // Redwood or SQLite
}

// One is a cluster of a single process.
func One(engine string) Shape { return Shape{Processes: 1, Redundancy: "single", Engine: engine} }

// Three is a cluster of three processes that keeps every byte twice: it goes on without any one of them.
func Three(engine string) Shape { return Shape{Processes: 3, Redundancy: "double", Engine: engine} }

// Triple is a cluster of three processes that keeps every byte three times.
func Triple(engine string) Shape { return Shape{Processes: 3, Redundancy: "triple", Engine: engine} }

// String names the shape, for subtests.
func (s Shape) String() string { return fmt.Sprintf("%d-%s-%s", s.Processes, s.Redundancy, s.Engine) }

// configure is the command that makes the database.
func (s Shape) configure() string { return "configure new " + s.Redundancy + " " + s.Engine }

// connection is the content of a cluster file: every process is a coordinator.
func connection(id string, addresses []string) string {
	return "undercroft:" + id + "@" + strings.Join(addresses, ",") + "\n"
}

// serverArgs are the arguments of a process. Each is a zone of its own, so that
// copies go to different processes of one machine.
func serverArgs(dir, clusterFile, address string, zone int) []string {
	name := fmt.Sprintf("zone%d", zone)
	return []string{
		"--cluster-file", clusterFile,
		"--public-address", address,
		"--listen-address", "public",
		"--datadir", dir, "--logdir", dir,
		"--locality-zoneid", name, "--locality-machineid", name,
		"--memory", "3GiB", "--cache-memory", "128MiB",
		"--maxlogssize", "32MiB",
	}
}

// cliArgs are the arguments that make fdbcli run commands and end.
func cliArgs(clusterFile string, seconds int, commands ...string) []string {
	return []string{"-C", clusterFile, "--timeout", fmt.Sprint(seconds), "--exec", strings.Join(commands, "; ")}
}
