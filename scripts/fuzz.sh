#!/usr/bin/env bash
# Runs every fuzz target of this module for FUZZTIME, one after the other: Go
# fuzzes one target at a time. The first finding ends it; Go has then written
# the input to the package's testdata/fuzz, where it becomes a test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

go=${GO:-go}
fuzztime=${FUZZTIME:-30s}
found=0

packages=$("$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
for package in $packages; do
	# -list also prints an "ok" line for the package; awk always succeeds where
	# grep would fail on a package without targets.
	listed=$("$go" test -list '^Fuzz' "$package")
	for target in $(awk '/^Fuzz/ { print $1 }' <<<"$listed"); do
		found=$((found + 1))
		echo "== $target in $package for $fuzztime"
		# Without a bound, minimising one interesting input can take the whole time.
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" -fuzzminimizetime 10x "$package"
	done
done
echo "fuzz: $found targets, no findings"
