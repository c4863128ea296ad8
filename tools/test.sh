#!/usr/bin/env bash
# Runs all tests: short fuzzing first, then everything with the race detector,
# so that the output ends with go test's own lines. The race detector needs a C
# compiler: it is installed where that is possible, and missed loudly where not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
GO=${GO:-go}

have_compiler() {
  command -v "${CC:-gcc}" >/dev/null && printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
    "${CC:-gcc}" -x c - -o /dev/null 2>/dev/null
}

if ! have_compiler && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "== installing a C compiler for the race detector"
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends gcc libc6-dev ||
    echo "== apt-get failed"
fi
race=-race
export CGO_ENABLED=1
if ! have_compiler; then
  race=
  export CGO_ENABLED=0
  echo "!! no C compiler: the tests run WITHOUT the race detector. Install gcc and the C library's headers." >&2
fi

# Tests keep whole stores in memory: garbage is collected before it fills the machine.
export GOMEMLIMIT=${GOMEMLIMIT:-3GiB}

echo "== building the binary as it is shipped"
CGO_ENABLED=0 "$GO" build -o /dev/null ./cmd/undercroft

echo "== fuzzing every target for ${FUZZTIME:=3s}"
FUZZTIME=$FUZZTIME tools/fuzz.sh

if [ -n "$race" ]; then
  echo "== testing large objects and the simulation, which the race detector makes too slow"
  "$GO" test -timeout 15m ./objects ./internal/testcluster ./internal/sim
fi

echo "== testing the metadata as if they were far away"
UNDERCROFT_TEST_METADATA=remote "$GO" test -timeout 15m ./metadata ./iam/directory

echo "== simulating ${SEEDS:=300} more seeds"
"$GO" test -timeout 30m ./internal/sim -run '^TestSimulation$' -args -seeds "$SEEDS" -seed 2000

why='no C compiler'
if [ "$CGO_ENABLED" = 1 ] && why=$(tools/fdb.sh find 2>&1); then
  echo "== testing on FoundationDB"
  GO=$GO tools/fdb.sh quick
else
  echo "== not testing on FoundationDB: $why"
fi

echo "== testing everything ${race:-without -race}"
# shellcheck disable=SC2086 # an empty $race is no argument
exec "$GO" test $race -timeout 40m ./...
