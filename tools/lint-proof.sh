#!/usr/bin/env bash
# Proves that the import rules of .golangci.yml can fire: a glob that matches
# nothing is silent. It makes a small tree of packages with one forbidden import
# each, in a temporary directory, and requires that the linter reports them all.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LINT=${LINT:-$root/tools/bin/golangci-lint}
module=github.com/undercroft/undercroft

# rule|directory of the offending file|what it imports
cases='leaves|s3|../iam
leaves|s3/deeper|../iam
leaves|iam|../checksum
leaves|placement|../s3
leaves|sse|../s3
directory|iam/directory|../objects
keys|keys|../metadata
keys|keys/transit|../iam
keyring|keys/keyring|../objects
checksum|checksum|../s3
sigv4|sigv4|../iam
sigv4|sigv2|../iam
gateway|gateway|../blobd
gateway|gateway|../partition
gateway|gateway|../metadata
admin|admin|../objects
steward|steward|../admin
steward|steward|../sigv4
configuration|objects|../internal/config
below-http|objects|net/http
below-http|metadata|net/http
below-http|metadata/kv|net/http
below-http|partition|net/http
below-http|steward|net/http
below-http|objects|../gateway
contracts-only|objects|../blobd/disk
contracts-only|partition|../blobd/disk
contracts-only|steward|../metadata/kv/pebble
contracts-only|metadata|../metadata/kv/pebble
storage|blobd|../s3
storage|blobd/disk|../objects
storage|blobd|../metadata
storage|blobd|../gateway
no-test-code-in-production|objects|testing'

scratch=$(mktemp -d "${TMPDIR:-/tmp}/lint-proof.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# import_path SHORT: the import path that a case means.
import_path() { case $1 in ../*) echo "$module/${1#../}" ;; *) echo "$1" ;; esac; }

# plant DIRECTORY IMPORT FILE: a file that imports, and the package it names.
plant() {
  local import directory
  import=$(import_path "$2")
  mkdir -p "$tree/$1"
  printf 'package %s\n\nimport _ "%s"\n' "$(basename "$1")" "$import" >"$tree/$1/$3"
  if [ "$import" != "$2" ]; then
    directory=$tree/${2#../}
    mkdir -p "$directory"
    printf 'package %s\n' "$(basename "$directory")" >"$directory/stub.go"
  fi
}

# A tree for each rule, since the forbidden imports of all would be cycles.
count=0 missing=0
for rule in $(cut -d'|' -f1 <<<"$cases" | sort -u); do
  tree=$scratch/$rule
  mkdir "$tree"
  cp "$root/.golangci.yml" "$tree/"
  printf 'module %s\n\ngo 1.26\n' "$module" >"$tree/go.mod"
  n=0
  while IFS='|' read -r _ directory import; do
    n=$((n + 1))
    plant "$directory" "$import" "case$n.go"
  done < <(grep "^$rule|" <<<"$cases")
  found=$(cd "$tree" && "$LINT" run --enable-only depguard --allow-parallel-runners --show-stats=false ./... 2>&1 || true)
  n=0
  while IFS='|' read -r _ directory import; do
    n=$((n + 1)) count=$((count + 1))
    if ! grep -E "^$directory/case$n\.go:" <<<"$found" | grep -F "'$(import_path "$import")'" | grep -qF "'$rule'"; then
      echo "the rule $rule did not report $import in $directory; it said:" >&2
      echo "$found" >&2
      missing=$((missing + 1))
    fi
  done < <(grep "^$rule|" <<<"$cases")
done
[ "$missing" = 0 ] || exit 1

# Every rule of the configuration has a case here.
rules=$(awk '/^    depguard:/ { on = 1 } /^  exclusions:/ { on = 0 } on && /^        [a-z0-9-]+: / { sub(":.*", "", $1); print $1 } on && /^        [a-z0-9-]+:$/ { sub(":", "", $1); print $1 }' "$root/.golangci.yml")
for rule in $rules; do
  grep -q "^$rule|" <<<"$cases" || { echo "the import rule $rule has no case in $0" >&2; exit 1; }
done
echo "lint-proof: $count forbidden imports reported by $(wc -w <<<"$rules") rules"
