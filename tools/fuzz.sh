#!/usr/bin/env bash
# Fuzzes every target of the module for FUZZTIME each (default 1m). A failure
# leaves its input under testdata/fuzz, where the ordinary tests find it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
GO=${GO:-go}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The deadline of -fuzztime can hit a busy worker, which is then reported as
# a failure of its own, "context deadline exceeded", without an input that
# fails. Only that is let pass.
fuzz() { # package target
  local out
  if ! out=$(cd "$1" && "$work/fuzz.test" -test.paniconexit0 -test.run '^$' -test.fuzz "^$2\$" \
    -test.fuzztime "${FUZZTIME:-1m}" -test.fuzzcachedir "$cache" 2>&1); then
    if grep -q 'context deadline exceeded' <<<"$out" && ! grep -q -e 'Failing input' -e 'panic' <<<"$out"; then
      echo "   ended by its deadline"
      return
    fi
    echo "$out"
    return 1
  fi
  tail -n 2 <<<"$out"
}

# A package is built once for all of its targets.
count=0
built=
while IFS=: read -r file target; do
  package=./$(dirname "$file")
  if [ "$package" != "$built" ]; then
    cache=$("$GO" env GOCACHE)/fuzz/$("$GO" list "$package")
    "$GO" test -c -fuzz=Fuzz -o "$work/fuzz.test" "$package"
    built=$package
  fi
  echo "-- $package $target"
  fuzz "$package" "$target"
  count=$((count + 1))
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's/^\.\///; s/func //' | sort)
[ "$count" -gt 0 ] || { echo "no fuzz target was found: the search for them is broken" >&2; exit 1; }
echo "-- $count targets fuzzed"
