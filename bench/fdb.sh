#!/usr/bin/env bash
# Measures metadata on FoundationDB beside embedded metadata, and prints Markdown.
#
#   FDB_HOME=DIR bench/fdb.sh    starts three fdbserver processes on loopback, and two servers of one binary:
#                                "pebble" with embedded metadata, "fdb" with FoundationDB's; each has six directories
#
# The cells of the table run on one server, then on the other, and so on for each round, so that both see the same machine. CPU is
# that of the server, and of the fdbserver processes apart. Nothing is pinned to a core unless BENCH_SERVER_CORES, BENCH_FDB_CORES
# or BENCH_CLIENT_CORES say so. Needs bash, python3, curl, and what `make build-fdb` needs.
#
# Knobs: BENCH_PARTS ("size table conflicts memory"), BENCH_ROUNDS (2), BENCH_SECONDS (5) of a cell, BENCH_ONLY (a regular
# expression of cells), BENCH_SERVERS ("pebble fdb"; "fdb1k" is one whose inline limit is that of the default, "before" one of
# another binary, BENCH_BEFORE), BENCH_REDUNDANCY (double), BENCH_ENGINE (ssd-redwood-1), BENCH_SIZE_OBJECTS (20000),
# BENCH_MEMORY_SECONDS (330) and BENCH_MEMORY_OP (mixed), BENCH_BINARY (built where it is not set), BENCH_DIR (where the data goes;
# default a new directory in TMPDIR, removed afterwards), BENCH_OUT (keeps reports and samples there).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
seconds=${BENCH_SECONDS:-5} rounds=${BENCH_ROUNDS:-2} only=${BENCH_ONLY:-.}
parts=${BENCH_PARTS:-size table conflicts memory}
servers=${BENCH_SERVERS:-pebble fdb}
redundancy=${BENCH_REDUNDANCY:-double} engine=${BENCH_ENGINE:-ssd-redwood-1}
export AWS_ACCESS_KEY_ID=bench-access-key AWS_SECRET_ACCESS_KEY=bench-secret-key-0123456789
export UNDERCROFT_ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID UNDERCROFT_ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY

work=$(mktemp -d "${TMPDIR:-/tmp}/fdbbench.XXXXXX")
data=${BENCH_DIR:-$work/data}
out=${BENCH_OUT:-$work/reports}
mkdir -p "$data" "$out"
running=() # process ids
cleanup() {
	local pid
	for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${running[@]}"; do wait "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap cleanup EXIT

say() { echo "bench: $*" >&2; }

program() { # of FoundationDB
	if [[ -n ${FDB_HOME:-} ]]; then echo "$FDB_HOME/bin/$1"; else command -v "$1" || echo "/usr/sbin/$1"; fi
}

pin() { # cores command…; without cores wherever it comes
	local cores=$1
	shift
	if [[ -n $cores ]]; then exec taskset -c "$cores" "$@"; fi
	exec "$@"
}

next_port=${BENCH_PORT:-19400}
free_port() { # sets port to one that nobody listens on
	while (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null; do next_port=$((next_port + 1)); done
	port=$next_port
	next_port=$((next_port + 1))
}

cli() { "$(program fdbcli)" -C "$work/fdb.cluster" --timeout 120 --exec "$1"; }

fdb_pids=()
start_cluster() {
	local i addresses=()
	for i in 0 1 2; do
		free_port
		addresses+=("127.0.0.1:$port")
	done
	(
		IFS=,
		echo "bench:$$@${addresses[*]}"
	) >"$work/fdb.cluster"
	for i in 0 1 2; do
		mkdir -p "$data/fdb$i"
		pin "${BENCH_FDB_CORES:-}" "$(program fdbserver)" --cluster-file "$work/fdb.cluster" --public-address "${addresses[i]}" --listen-address public \
			--datadir "$data/fdb$i" --logdir "$data/fdb$i" --locality-zoneid "zone$i" --locality-machineid "zone$i" \
			--memory 4GiB --maxlogssize 32MiB >"$work/fdb$i.log" 2>&1 &
		fdb_pids+=($!)
		running+=($!)
	done
	cli "configure new $redundancy $engine" >&2
	# Roles move once all processes have met.
	sleep 10
	cli 'writemode on; clear bench' >/dev/null
	fdb_list=$(
		IFS=,
		echo "${fdb_pids[*]}"
	)
}

# start NAME starts a server: endpoint[NAME], admin[NAME], pid[NAME].
declare -A endpoint admin pid
start() {
	local name=$1 binary=$BENCH_BINARY place=() tries=0 s3
	case $name in
	pebble) ;;
	before)
		binary=$BENCH_BEFORE
		place=(--metadata "fdb:$work/fdb.cluster?prefix=$name" --inline-limit 8KiB)
		;;
	fdb1k) place=(--metadata "fdb:$work/fdb.cluster?prefix=$name") ;;
	*) place=(--metadata "fdb:$work/fdb.cluster?prefix=$name" --inline-limit 8KiB) ;;
	esac
	mkdir -p "$data/$name"/d{1,2,3,4,5,6}
	free_port
	s3=$port
	free_port
	endpoint[$name]=http://127.0.0.1:$s3 admin[$name]=http://127.0.0.1:$port
	(pin "${BENCH_SERVER_CORES:-}" "$binary" server --data "$data/$name/d{1...6}" "${place[@]}" --listen "127.0.0.1:$s3" \
		--admin-listen "127.0.0.1:$port" --region us-east-1) >"$work/$name.log" 2>&1 &
	pid[$name]=$!
	running+=($!)
	until curl -fs -o "$work/ready" "${admin[$name]}/-/readyz"; do
		tries=$((tries + 1))
		if ((tries > 600)) || ! kill -0 "${pid[$name]}" 2>/dev/null; then
			say "$name did not start; its log:"
			tail -n 40 "$work/$name.log" >&2
			exit 1
		fi
		sleep 0.1
	done
}

stop() {
	kill "${pid[$1]}"
	wait "${pid[$1]}" || true
}

number=0
failed=0
bench() { # server cell flags…: the report goes to $out, its path to $report
	local name=$1 label=$2 watch=(-pid "${pid[$1]}") status=0
	shift 2
	if [[ $name != pebble ]]; then watch+=(-beside "$fdb_list"); fi
	number=$((number + 1))
	report=$(printf '%s/%03d.json' "$out" "$number")
	say "$label, $name, load $(cut -d' ' -f1 /proc/loadavg)"
	(pin "${BENCH_CLIENT_CORES:-}" "$work/s3bench" -endpoint "${endpoint[$name]}" -name "$label, $name" "${watch[@]}" -duration "${seconds}s" -warmup 1s "$@") \
		>"$report" || status=$?
	if ((status != 0)); then
		say "$label, $name failed"
		failed=1
	fi
}

kv_size() { # what FoundationDB says of all keys and values, and of its files, in bytes
	cli 'status json' | python3 -c '
import json, sys
text = sys.stdin.read()
d = json.loads(text[text.index("{"):])["cluster"]
stored = sum(r.get("kvstore_used_bytes", 0) for p in d["processes"].values() for r in p["roles"] if r["role"] == "storage")
print(d["data"].get("total_kv_size_bytes", 0), stored)'
}

rows() { # of the store "size", which is stopped: rows, and bytes of keys and values
	"$BENCH_BINARY" admin metadata export --metadata "fdb:$work/fdb.cluster?prefix=size" --data "$data/size/d{1...6}" "$work/export" 2>"$work/export.log" >&2
	python3 "$here/exported.py" "$work/export"
	rm -f "$work/export"
}

part_size() {
	local n=${BENCH_SIZE_OBJECTS:-20000} size label before after kv_before kv_after
	echo
	echo "Metadata of $n objects each, keys of 20 bytes in one bucket:"
	echo
	echo "| | rows/object | bytes of rows/object | FoundationDB's estimate, bytes/object | its files, bytes/object, all copies |"
	echo "|---|---|---|---|---|"
	start size
	stop size
	before=$(rows) kv_before=$(kv_size)
	for size in 0 4KiB 64KiB; do
		start size
		bench size "fill $size" -op prepare -size $size -objects "$n" -concurrency 64 -prefix "a$size/"
		stop size
		sleep "${BENCH_SIZE_REST:-20}" # until storage servers have written what is in memory
		after=$(rows) kv_after=$(kv_size)
		python3 - "$n" "$size" $before $after $kv_before $kv_after <<'PY'
import sys
n, size, v = int(sys.argv[1]), sys.argv[2], [int(x) for x in sys.argv[3:]]
d = [(v[2] - v[0]) / n, (v[3] - v[1]) / n, (v[6] - v[4]) / n, (v[7] - v[5]) / n]
print("| %s | %.2f | %.0f | %.0f | %.0f |" % (size, *d))
PY
		before=$after kv_before=$kv_after
	done
}

prepare() {
	local name=$1
	bench "$name" "prepare 4 KiB" -op prepare -size 4KiB -objects 10000 -concurrency 64 -prefix small/
	bench "$name" "prepare 64 KiB" -op prepare -size 64KiB -objects 2000 -concurrency 64 -prefix large/
	bench "$name" "prepare keys" -op prepare -size 128 -objects 10000 -concurrency 64 -prefix few/ -bucket s3bench-few
}

cells() {
	local c
	for c in 1 64; do
		echo "PUT 4 KiB c=$c;-op put -size 4KiB -concurrency $c"
		echo "GET 4 KiB c=$c;-op get -size 4KiB -concurrency $c -prefix small/ -objects 10000 -skip-prepare"
		echo "HEAD c=$c;-op head -size 4KiB -concurrency $c -prefix small/ -objects 10000 -skip-prepare"
		echo "PUT 64 KiB c=$c;-op put -size 64KiB -concurrency $c"
		echo "GET 64 KiB c=$c;-op get -size 64KiB -concurrency $c -prefix large/ -objects 2000 -skip-prepare"
		echo "LIST 1000 keys c=$c;-op list -size 128 -concurrency $c -prefix few/ -objects 10000 -bucket s3bench-few -skip-prepare"
	done
}

part_table() {
	local round name label flags table=()
	for name in $servers; do prepare "$name"; done
	while IFS=';' read -r label flags; do
		if [[ ! $label =~ $only ]]; then continue; fi
		for ((round = 0; round < rounds; round++)); do
			for name in $servers; do
				# shellcheck disable=SC2086 # flags are words
				bench "$name" "$label" $flags </dev/null
				table+=("$report")
			done
		done
	done < <(cells)
	echo
	cat "${table[@]}" | "$work/s3bench" table
}

part_conflicts() {
	local name keys label m=undercroft_metadata
	echo
	echo "64 writers of 4 KiB in one bucket:"
	echo
	echo "| | PUT/s | p50, p99 ms | errors | commits | attempts/commit | conflicts/commit |"
	echo "|---|---|---|---|---|---|---|"
	for name in $servers; do
		if [[ $name == pebble ]]; then continue; fi
		for keys in 0 64 1; do
			case $keys in 0) label="new keys" ;; 1) label="one key" ;; *) label="$keys keys" ;; esac
			bench "$name" "conflicts $label" -op put -size 4KiB -concurrency 64 -rewrite "$keys" -prefix same/ -allow-errors 1000000 -metrics-url "${admin[$name]}/-/metrics" \
				-counters "${m}_transactions_total{class=\"put\"},${m}_transaction_attempts_total{class=\"put\"},${m}_transaction_failures_total{reason=\"conflict\"}"
			python3 - "$report" "$label, $name" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
t, c = r["total"], {k.split("metadata_")[1].split("{")[0]: v["delta"] for k, v in r["counters"].items()}
n = max(c["transactions_total"], 1)
print("| %s | %.0f | %.1f, %.1f | %s | %d | %.4f | %.4f |" % (sys.argv[2], t["ops_per_s"], t["p50_ms"], t["p99_ms"], t.get("errors") or 0, n,
      c["transaction_attempts_total"] / n, c["transaction_failures_total"] / n))
PY
		done
	done
}

part_memory() {
	local last=${BENCH_MEMORY_SECONDS:-330} op=${BENCH_MEMORY_OP:-mixed} name=${BENCH_MEMORY_SERVER:-fdb} watcher
	bench "$name" "prepare memory" -op prepare -size 4KiB -objects 10000 -concurrency 64 -prefix memory/
	python3 "$here/resident.py" "${pid[$name]}" "$fdb_list" "${admin[$name]}/-/metrics" 10 >"$out/memory.csv" &
	watcher=$!
	running+=("$watcher")
	seconds=$last bench "$name" "memory, $op" -op "$op" -size 4KiB -concurrency 64 -prefix memory/ -objects 10000 -skip-prepare
	sleep "${BENCH_MEMORY_REST:-30}"
	kill "$watcher"
	echo
	"$work/s3bench" table <"$report"
	echo
	echo "MiB of \"$name\" over that time and ${BENCH_MEMORY_REST:-30} s of rest:"
	echo
	python3 "$here/resident.py" table <"$out/memory.csv"
}

go build -C "$root" -o "$work/s3bench" ./bench/cmd/s3bench
if [[ -z ${BENCH_BINARY:-} ]]; then
	make -s -C "$root" build-fdb
	BENCH_BINARY=$root/bin/undercroft-fdb
fi
start_cluster
cat <<TEXT
## Metadata on FoundationDB

$(date -u +'%Y-%m-%d %H:%M'), $(nproc) × $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), Linux $(uname -r), data on $(df --output=fstype "$data" | tail -n 1),
load $(cut -d' ' -f1-3 /proc/loadavg). $("$(program fdbserver)" --version | head -n 1), three processes, $redundancy $engine. ${seconds} s a cell.
TEXT
if [[ " $parts " == *" size "* ]]; then part_size; fi
for name in $servers; do start "$name"; done
for part in $parts; do
	case $part in
	size) ;;
	table | conflicts | memory) "part_$part" ;;
	*)
		say "no part $part"
		exit 2
		;;
	esac
done
exit "$failed"
