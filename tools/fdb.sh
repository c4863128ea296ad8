#!/usr/bin/env bash
# Builds and tests what needs FoundationDB: the tag fdb and cgo. FoundationDB is
# in $FDB_HOME (bin, include, lib), or where its packages install it.
#   tools/fdb.sh find     what is missing, in one line; nothing where all is there
#   tools/fdb.sh build    bin/undercroft-fdb
#   tools/fdb.sh test     all tests on clusters of fdbserver processes
#   tools/fdb.sh quick    a selection that takes a minute or two
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
GO=${GO:-go}
docs=docs/operations/foundationdb.md

first() { # of the files that exist
  for file in "$@"; do
    if [ -f "$file" ]; then
      echo "$file"
      return
    fi
  done
}

# client says what is missing to build, after it has set the environment of cgo.
client() {
  local header library
  if [ -n "${FDB_HOME:-}" ]; then
    header=$(first "$FDB_HOME/include/foundationdb/fdb_c.h")
    library=$(first "$FDB_HOME/lib/libfdb_c.so")
  else
    header=$(first /usr/include/foundationdb/fdb_c.h /usr/local/include/foundationdb/fdb_c.h)
    library=$(first /usr/lib/libfdb_c.so /usr/local/lib/libfdb_c.so /usr/lib64/libfdb_c.so /usr/lib/*-linux-gnu/libfdb_c.so)
  fi
  [ -n "$header" ] || missing+=(foundationdb/fdb_c.h)
  [ -n "$library" ] || missing+=(libfdb_c.so)
  command -v "${CC:-gcc}" >/dev/null || missing+=("${CC:-gcc}")
  export CGO_ENABLED=1
  if [ -n "${FDB_HOME:-}" ]; then
    export CGO_CFLAGS="${CGO_CFLAGS:--g -O2} -I$FDB_HOME/include"
    export CGO_LDFLAGS="${CGO_LDFLAGS:--g -O2} -L$FDB_HOME/lib -Wl,-rpath,$FDB_HOME/lib"
  elif [[ $library == /usr/local/* ]]; then
    export CGO_CFLAGS="${CGO_CFLAGS:--g -O2} -I/usr/local/include"
    export CGO_LDFLAGS="${CGO_LDFLAGS:--g -O2} -L/usr/local/lib -Wl,-rpath,/usr/local/lib"
  fi
}

server() {
  local bin
  for program in fdbserver fdbcli; do
    if [ -n "${FDB_HOME:-}" ]; then
      bin=$(first "$FDB_HOME/bin/$program" "$FDB_HOME/sbin/$program")
    else
      bin=$(command -v "$program" || first /usr/sbin/$program /usr/local/sbin/$program /usr/local/bin/$program /usr/lib/foundationdb/$program)
    fi
    [ -n "$bin" ] || missing+=("$program")
  done
}

missing=()
require() {
  for part in "$@"; do $part; done
  if [ "${#missing[@]}" -gt 0 ]; then
    local all="${missing[*]}"
    echo "FoundationDB not found: no ${all// /, } in ${FDB_HOME:-the system (FDB_HOME is not set)}; $docs says how to install it" >&2
    exit 1
  fi
}

# suites <flags>: those of other engines, on FoundationDB.
suites() {
  UNDERCROFT_TEST_METADATA=fdb "$GO" test -tags fdb -timeout 60m "$@"
}

case "${1:-}" in
find)
  require client server
  ;;
build)
  require client
  exec "$GO" build -tags fdb -trimpath -ldflags "${LDFLAGS:-}" -o bin/undercroft-fdb ./cmd/undercroft
  ;;
test)
  require client server
  "$GO" test -tags fdb -timeout 60m ./internal/fdbcluster/... ./metadata/kv/fdb/...
  suites ./metadata ./objects ./gateway
  "$GO" test -tags fdb -timeout 60m ./internal/single ./cmd/undercroft -run '^Test(MoveToFoundationDB|ServerAndGateway|BackupOfFoundationDB)$'
  suites ./internal/sim -run '^TestSimulationOnFoundationDB$'
  ;;
quick)
  require client server
  "$GO" test -tags fdb -short -timeout 15m ./internal/fdbcluster/... ./metadata/kv/fdb/...
  suites -short ./metadata ./objects -run '^Test(Put|Get|List|Delete|Multipart|Check|Publish|LinearizableAcrossGateways)'
  ;;
*)
  sed -n '2,8s/^# \?//p' "$0" >&2
  exit 2
  ;;
esac
