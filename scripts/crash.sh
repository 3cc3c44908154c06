#!/usr/bin/env bash
# Kills writers and servers while they write, 2,000 times, and keeps what came of it.
set -euo pipefail
cd "$(dirname "$0")/.."
out=docs/results/crash.md
lines=$("${GO:-go}" test -count=1 -timeout 30m -tags long -v -run 'Killed|Synced' ./internal/crashtest | tee /dev/stderr | grep -E 'rounds: |^ *--- ')
{
	printf '# Killed writers\n\n'
	printf 'Printed by `make crash`. %s.\n\n' "$(date +%Y-%m-%d)"
	printf '8 callers write as fast as they can in a process that is killed with SIGKILL at a random moment; every fifth time their PostgreSQL is shut down\n'
	printf 'immediately first. Another driver then reads what is there: every acknowledged write, none twice, and those of a caller in their order. One more may\n'
	printf 'be there than was acknowledged, since its answer was on its way.\n\n'
	printf 'SIGKILL does not test a sync: the kernel keeps what was written. So the second test looks at system calls: a sync lies between the write and its\n'
	printf 'acknowledgement, and where it is taken away or fails, the test notices.\n\n```\n%s\n```\n' "$lines"
} >"$out"
