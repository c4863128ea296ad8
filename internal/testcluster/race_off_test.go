//go:build !race

package testcluster_test

// raceEnabled says that the race detector is on: bytes cost ten times as much.
const raceEnabled = false
