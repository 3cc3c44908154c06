#!/usr/bin/env bash
# Reads from real replicas that lag, fail and take over, in the long form, and keeps what came of it.
set -euo pipefail
cd "$(dirname "$0")/.."
out=docs/results/replicas.md
lines=$(FULCRUM_LONG=1 "${GO:-go}" test -count=1 -timeout 10m -v -run 'ReadYourWrites|AnotherCopyAnswers|FailOver' ./store/postgres |
	tee /dev/stderr | grep -E 'replicas_test.go:|^ *--- ' | sed -E 's/^ *replicas_test.go:[0-9]+: /    /')
{
	printf '# Reads from replicas\n\n'
	printf 'Printed by `make replicas`. %s.\n\n' "$(date +%Y-%m-%d)"
	printf 'A PostgreSQL primary and two streaming replicas, all on one machine with those who read and write. Of read-your-writes there are 50,048 pairs by 64 callers\n'
	printf 'while the replicas are fresh, and as many while replay is paused and resumed at random; a read that is older than its write fails the test, and the same pairs\n'
	printf 'without the check are seen to fail. Of each trouble, no read may fail that another copy can answer. At the fail-over the primary is killed and a replica, which\n'
	printf 'had confirmed each commit, is promoted while 16 callers write and read behind old and new writes.\n\n```\n%s\n```\n' "$lines"
} >"$out"
