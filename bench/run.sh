#!/usr/bin/env bash
# Runs the table of benchmarks and prints it as Markdown.
#
#   bench/run.sh                       builds and runs undercroft on six directories
#   BENCH_CMD='minio server {dir}/d{1...6} --address 127.0.0.1:{port}' bench/run.sh
#                                      a peer; {dir}, {port} and {admin} are filled in
#   BENCH_ENDPOINT=http://h:p BENCH_PID=123 bench/run.sh
#                                      a server that already runs (BENCH_PID may be empty)
#
# The server gets core BENCH_SERVER_CORES (0), the client BENCH_CLIENT_CORES (1).
# Other knobs: BENCH_SECONDS (8) per cell, BENCH_KEYS (1000000) of the listing,
# BENCH_ONLY (a regular expression of cell names), BENCH_DIR (where the data
# goes; default a new directory in TMPDIR, removed afterwards), BENCH_OUT (keeps
# the JSON reports there), BENCH_NAME, BENCH_COUNTERS (names of Prometheus
# counters of the admin port), AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
seconds=${BENCH_SECONDS:-8}
keys=${BENCH_KEYS:-1000000}
only=${BENCH_ONLY:-.}
export AWS_ACCESS_KEY_ID=${AWS_ACCESS_KEY_ID:-bench-access-key} AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY:-bench-secret-key-0123456789}

work=$(mktemp -d "${TMPDIR:-/tmp}/s3bench.XXXXXX")
data=${BENCH_DIR:-$work/data}
out=${BENCH_OUT:-$work/reports}
mkdir -p "$data" "$out"
server=
cleanup() {
	if [[ -n $server ]] && kill "$server" 2>/dev/null; then
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT

pin() { # cores command…
	local cores=$1
	shift
	if command -v taskset >/dev/null && taskset -c "$cores" true 2>/dev/null; then
		exec taskset -c "$cores" "$@"
	fi
	echo "bench: cannot pin to core $cores; numbers are of an unpinned run" >&2
	exec "$@"
}

free_port() { # first port at or above $1 that nobody listens on
	local port=$1
	while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
	echo "$port"
}

await_port() { # port: up to 60 s
	local tries=0
	until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
		tries=$((tries + 1))
		if ((tries > 600)) || ! kill -0 "$server" 2>/dev/null; then
			echo "bench: the server did not start; its log:" >&2
			tail -n 40 "$work/server.log" >&2
			exit 1
		fi
		sleep 0.1
	done
}

GOFLAGS=${GOFLAGS:-} go build -C "$root" -o "$work/s3bench" ./bench/cmd/s3bench

metrics=()
if [[ -n ${BENCH_ENDPOINT:-} ]]; then
	endpoint=$BENCH_ENDPOINT
	pids=${BENCH_PID:-}
	name=${BENCH_NAME:-$endpoint}
else
	port=$(free_port 19000)
	admin=$(free_port $((port + 1)))
	if [[ -z ${BENCH_CMD:-} ]]; then
		CGO_ENABLED=0 go build -C "$root" -o "$work/undercroft" ./cmd/undercroft
		BENCH_CMD="$work/undercroft server --data {dir}/d{1...6} --listen 127.0.0.1:{port} --admin-listen 127.0.0.1:{admin} --region us-east-1"
		BENCH_NAME=${BENCH_NAME:-undercroft $(git -C "$root" rev-parse --short HEAD 2>/dev/null || true)}
		mkdir -p "$data"/d{1,2,3,4,5,6}
	fi
	command=${BENCH_CMD//\{dir\}/$data}
	command=${command//\{port\}/$port}
	command=${command//\{admin\}/$admin}
	read -r -a argv <<<"$command"
	export UNDERCROFT_ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID UNDERCROFT_ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY
	export MINIO_ROOT_USER=$AWS_ACCESS_KEY_ID MINIO_ROOT_PASSWORD=$AWS_SECRET_ACCESS_KEY
	export ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY
	pin "${BENCH_SERVER_CORES:-0}" "${argv[@]}" >"$work/server.log" 2>&1 &
	server=$!
	await_port "$port"
	endpoint=http://127.0.0.1:$port
	pids=$server
	name=${BENCH_NAME:-${argv[0]##*/}}
	if [[ -n ${BENCH_COUNTERS:-} ]]; then
		metrics=(-metrics-url "http://127.0.0.1:$admin/-/metrics" -counters "$BENCH_COUNTERS")
	fi
fi

watch=("${metrics[@]}")
if [[ -n $pids ]]; then
	watch+=(-pid "$pids")
fi
# The device that holds the data, as /proc/diskstats names it, for its flushes.
device=$(df --output=source "$data" | tail -n 1)
device=${device#/dev/}
if grep -qw "$device" /proc/diskstats; then
	watch+=(-device "$device")
fi

failed=0
number=0
bench() { # name flags…
	local label=$1 file status=0
	shift
	if [[ ! $label =~ $only ]]; then
		return
	fi
	number=$((number + 1))
	file=$(printf '%s/%02d.json' "$out" "$number")
	echo "bench: $label" >&2
	(pin "${BENCH_CLIENT_CORES:-1}" "$work/s3bench" -endpoint "$endpoint" -name "$label" "${watch[@]}" -duration "${seconds}s" "$@") >"$file" || status=$?
	if ((status != 0)); then
		echo "bench: $label failed" >&2
		failed=1
	fi
}

resident() {
	local pid
	for pid in ${pids//,/ }; do
		awk '/^VmRSS/ { printf "%d MiB ", $2 / 1024 }' "/proc/$pid/status"
	done
}

idle=$(resident)
bench "PUT 4 KiB c=64" -op put -size 4KiB -concurrency 64
bench "PUT 4 KiB c=64 signed" -op put -size 4KiB -concurrency 64 -payload signed
bench "PUT 4 KiB c=64 crc64nvme trailer" -op put -size 4KiB -concurrency 64 -payload streaming-unsigned
bench "PUT 4 KiB c=1" -op put -size 4KiB -concurrency 1
bench "PUT 64 KiB c=64" -op put -size 64KiB -concurrency 64
bench "GET 4 KiB c=64" -op get -size 4KiB -concurrency 64
bench "GET 64 KiB c=64" -op get -size 64KiB -concurrency 64 -prefix get64/
bench "HEAD 4 KiB c=64" -op head -size 4KiB -concurrency 64
bench "PUT 10 MiB c=8 unsigned" -op put -size 10MiB -concurrency 8
bench "PUT 10 MiB c=8 signed" -op put -size 10MiB -concurrency 8 -payload signed
bench "PUT 10 MiB c=8 streaming signed" -op put -size 10MiB -concurrency 8 -payload streaming
bench "PUT 10 MiB c=64 unsigned (memory)" -op put -size 10MiB -concurrency 64 -count 192
bench "GET 10 MiB c=8" -op get -size 10MiB -concurrency 8 -objects 64 -prefix get10/
bench "MIXED 4 KiB c=64" -op mixed -size 4KiB -concurrency 64
bench "MULTIPART 128 MiB (8 x 16) c=4" -op multipart -size 16MiB -parts 8 -concurrency 4 -count 16
bench "DELETE 4 KiB c=64" -op delete -size 4KiB -concurrency 64 -objects 20000
bench "LIST 10000 keys, pages of 1000" -op list -size 128 -concurrency 1 -objects 10000 -prefix few/ -bucket s3bench-few
bench "prepare $keys keys of 128 B c=64" -op prepare -size 128 -concurrency 64 -objects "$keys" -prefix many/ -bucket s3bench-many
bench "LIST $keys keys, pages of 1000" -op list -size 128 -concurrency 1 -objects "$keys" -skip-prepare -prefix many/ -bucket s3bench-many -count $(((keys + 999) / 1000))

cat <<TEXT
## $name

$(date -u +%Y-%m-%d), $(nproc) × $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), Linux $(uname -r), data on $(df --output=fstype "$data" | tail -n 1).
Server on core ${BENCH_SERVER_CORES:-0}, client on core ${BENCH_CLIENT_CORES:-1}; ${seconds} s a cell, one run. Resident when idle: ${idle:-unknown}

TEXT
cat "$out"/*.json | "$work/s3bench" table
exit "$failed"
