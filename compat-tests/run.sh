#!/usr/bin/env bash
# Drives the real binary with real clients: `make compat`.
#
# Installs each client where a registry has it, into a cache outside of the tree:
# Debian packages are downloaded and unpacked there (no root needed, nothing of
# the system changes), Python packages go into a virtual environment. A client
# that cannot be had is skipped, loudly, with one line that begins COMPAT SKIP.
#
#   compat-tests/run.sh [arguments of go test, such as -run TestRclone or -v]
#
# COMPAT_CACHE   where the clients are kept (default the XDG cache directory)
# TERRAFORM_PLUGINS  a mirror of Terraform's providers, where its registry cannot be reached
# COMPAT_BINARY  the undercroft to test (default bin/undercroft, else built)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
cache=${COMPAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/undercroft-compat}
mkdir -p "$cache/bin" "$cache/debs" "$cache/root"
work=$(mktemp -d "${TMPDIR:-/tmp}/compat.XXXXXX")
trap 'rm -rf "$work"' EXIT
skipped=()

skip() { # client why
	skipped+=("COMPAT SKIP $1: $2")
	echo "COMPAT SKIP $1: $2" >&2
}

# deb_files package: names of what apt would install for it, one a line.
deb_files() {
	apt-get install --print-uris -y --no-install-recommends "$1" 2>/dev/null | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p"
}

# unpack package program: downloads the package with what it needs.
unpack() {
	local package=$1 program=$2 names
	if [[ -e $cache/root/.unpacked-$package ]]; then
		return 0
	fi
	if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
		skip "$package" "no apt-get and dpkg-deb here"
		return 1
	fi
	if ! apt-cache show "$package" >/dev/null 2>&1 && [[ $(id -u) == 0 ]]; then
		apt-get update -q >"$work/apt.log" 2>&1 || true
	fi
	names=$(deb_files "$package")
	if [[ -z $names ]]; then
		if command -v "$program" >/dev/null; then # installed already
			ln -sf "$(command -v "$program")" "$cache/bin/$program"
			return 0
		fi
		skip "$package" "the package lists of apt do not have it"
		return 1
	fi
	# shellcheck disable=SC2086 # one word for each package
	if ! (cd "$cache/debs" && apt-get download -q $names >"$work/apt.log" 2>&1); then
		skip "$package" "apt-get download failed: $(tail -n 1 "$work/apt.log")"
		return 1
	fi
	local name
	for name in $names; do
		dpkg-deb -x "$cache/debs/$name"_*.deb "$cache/root"
	done
	touch "$cache/root/.unpacked-$package"
}

# wrap program [python]: a command in the cache's bin directory.
wrap() {
	local program=$1 kind=${2:-}
	if [[ ! -e $cache/root/usr/bin/$program ]]; then
		return
	fi
	if [[ -n $kind ]]; then
		cat >"$cache/bin/$program" <<SCRIPT
#!/bin/sh
PYTHONPATH='$cache/root/usr/lib/python3/dist-packages' exec /usr/bin/python3 '$cache/root/usr/bin/$program' "\$@"
SCRIPT
		chmod +x "$cache/bin/$program"
	else
		ln -sf "$cache/root/usr/bin/$program" "$cache/bin/$program"
	fi
}

install_clients() {
	unpack rclone rclone && wrap rclone
	unpack docker-registry docker-registry && wrap docker-registry
	unpack s3cmd s3cmd && wrap s3cmd python
	unpack awscli aws && wrap aws python
	if command -v terraform >/dev/null; then # no registry of packages has it
		ln -sf "$(command -v terraform)" "$cache/bin/terraform"
	else
		skip terraform "not in PATH"
	fi
	if [[ ! -e $cache/venv/.complete ]]; then
		rm -rf "$cache/venv"
		if ! python3 -m venv "$cache/venv" >"$work/venv.log" 2>&1; then
			skip boto3 "python3 -m venv failed: $(tail -n 1 "$work/venv.log")"
		elif ! "$cache/venv/bin/pip" install -q boto3 pytest awscli >"$work/pip.log" 2>&1; then
			skip boto3 "pip install failed: $(tail -n 1 "$work/pip.log")"
		else
			touch "$cache/venv/.complete"
		fi
	fi
	if [[ -e $cache/venv/.complete ]]; then
		ln -sf "$cache/venv/bin/python" "$cache/bin/python"
		ln -sf "$cache/venv/bin/aws" "$cache/bin/aws-pypi"
	fi
	return 0
}

install_clients || true

if [[ -z ${COMPAT_BINARY:-} ]]; then
	COMPAT_BINARY=$root/bin/undercroft
	if [[ ! -x $COMPAT_BINARY ]]; then
		COMPAT_BINARY=$work/undercroft
		CGO_ENABLED=0 go build -C "$root" -o "$COMPAT_BINARY" ./cmd/undercroft
	fi
fi
export COMPAT_BINARY COMPAT_TOOLS=$cache/bin

status=0
go test -C "$here" -tags compat -count=1 -timeout 30m -v "$@" . >"$work/tests.log" 2>&1 || status=$?
grep -E '^(--- FAIL|    --- FAIL|FAIL|panic:|ok )' "$work/tests.log" || true
if ((status != 0)); then
	# What failed, without the passes around it.
	grep -vE '^(=== |--- PASS|    --- PASS|--- SKIP)' "$work/tests.log" | tail -n 400
fi
# What was not tried comes last, where it is seen.
{
	grep -o 'COMPAT SKIP .*' "$work/tests.log" || true
	for line in "${skipped[@]}"; do echo "$line"; done
	if (($# > 0)); then echo "COMPAT SKIP some tests: this run was given the arguments $*"; fi
} | sort -u
count() { grep -cE "$1" "$work/tests.log" || true; }
echo "compat: $(count '^--- PASS') tests passed, $(count '^--- FAIL') failed, $(count '^ *--- SKIP') skipped"
exit "$status"
