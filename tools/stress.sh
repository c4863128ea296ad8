#!/usr/bin/env bash
# Runs each test of packages again and again under the race detector, on one, two
# and four processors, and lists those that ever fail: a test that fails one time
# in ten stops continuous integration as surely as one that always does.
#   tools/stress.sh ./partition ./steward     RUN=regexp  BUDGET=seconds for each test (6)
# Give it company, so that goroutines meet in other orders: run two at a time.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
GO=${GO:-go}
budget=${BUDGET:-6}
[ "$#" -gt 0 ] || { sed -n '2,6s/^# \?//p' "$0" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The race detector waits a second at each exit, else.
export GORACE="atexit_sleep_ms=0 ${GORACE:-}"
failures=0
tests=0

# try runs a test of $bin some times and shows what it printed where it fails.
try() { # test count processors
  (cd "$dir" && "$work/test" -test.run "^$1\$" -test.count "$2" -test.cpu "$3" -test.failfast -test.timeout 20m) >"$work/out" 2>&1 && return
  failures=$((failures + 1))
  echo "!! $1 failed, on $3 processors"
  tail -n 60 "$work/out"
  return 1
}

stress() { # test
  tests=$((tests + 1))
  local began=$EPOCHREALTIME
  try "$1" 1 2 || return
  # Whole microseconds: bash has no fractions.
  local took=$((${EPOCHREALTIME/./} - ${began/./} + 1))
  local count=$((budget * 1000000 / took / 3))
  [ "$count" -le 100 ] || count=100
  [ "$count" -ge 1 ] || count=1
  for processors in 1 2 4; do
    try "$1" "$count" "$processors" || return
  done
  printf '%4d times %s\n' $((3 * count + 1)) "$1"
}

for package; do
  dir=$("$GO" list -f '{{.Dir}}' "$package") || exit
  CGO_ENABLED=1 "$GO" test -race -c -o "$work/test" "$package" || exit
  echo "== $package"
  while read -r name; do
    stress "$name"
  done < <(cd "$dir" && "$work/test" -test.list "${RUN:-.}" | grep '^Test')
done
echo "== $failures of $tests tests failed"
[ "$tests" -gt 0 ] && [ "$failures" = 0 ]
