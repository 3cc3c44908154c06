#!/usr/bin/env bash
# Checks for the programs that the tests run, and says exactly what is missing.
# As root on a Debian-like machine it installs the missing ones, nothing else.
set -euo pipefail

# One line per need: name | probe | Debian package | Fedora package | Homebrew formula.
# The probe is a function below. Debian's Go is too old: - means "not from here".
needs='
Go|have_go|-|golang|go
C compiler (race detector)|have_cc|gcc libc6-dev|gcc|gcc
git|have_git|git|git|git
curl|have_curl|curl ca-certificates|curl|curl
PostgreSQL server 15 or newer|have_postgres|postgresql|postgresql-server|postgresql@15
Redis server|have_redis|redis-server|redis|redis
Chromium (dashboard tests)|have_chromium|chromium|chromium|--cask chromium
strace (crash tests)|have_strace|strace|strace|-
PostgreSQL extension citext|have_citext|postgresql-contrib|postgresql-contrib|postgresql@15
'

have_go() { command -v go >/dev/null; }
have_git() { command -v git >/dev/null; }
have_chromium() { command -v chromium >/dev/null; }
have_redis() { command -v redis-server >/dev/null; }
# strace is Linux's own; elsewhere its test is left out.
have_strace() { [[ $(uname) != Linux ]] || command -v strace >/dev/null; }
have_curl() { command -v curl >/dev/null; }
have_cc() { command -v "${CC:-gcc}" >/dev/null || command -v cc >/dev/null || command -v clang >/dev/null; }

# postgres_bins prints each folder that may hold the server; distributions keep
# it out of PATH. The tests look in the same places.
postgres_bins() {
	printf '%s\n' /usr/lib/postgresql/*/bin
	if command -v pg_config >/dev/null; then pg_config --bindir; fi
	local in_path
	if in_path=$(command -v postgres); then dirname "$in_path"; fi
}

# have_postgres wants the server, what makes a cluster, and what copies one.
have_postgres() {
	local bin version
	while read -r bin; do
		if [[ -x $bin/postgres && -x $bin/initdb && -x $bin/pg_basebackup ]]; then
			version=$("$bin/postgres" --version) # postgres (PostgreSQL) 15.18 (…)
			version=${version#*) }
			if ((${version%%[!0-9]*} >= 15)); then return 0; fi
		fi
	done < <(postgres_bins)
	return 1
}

have_citext() {
	local folder
	for folder in /usr/share/postgresql/*/extension /usr/share/pgsql/extension; do
		if [[ -f $folder/citext.control ]]; then return 0; fi
	done
	command -v pg_config >/dev/null && [[ -f $(pg_config --sharedir)/extension/citext.control ]]
}

# each_missing calls its argument with name, Debian, Fedora and Homebrew package
# of every need that the machine does not meet.
each_missing() {
	local name probe apt dnf brew
	while IFS='|' read -r name probe apt dnf brew; do
		if [[ -n $name ]] && ! "$probe"; then "$1" "$name" "$apt" "$dnf" "$brew"; fi
	done <<<"$needs"
}

say() {
	echo "missing: $1"
	if [[ $2 == - ]]; then
		echo "  anywhere:       https://go.dev/dl"
	else
		echo "  Debian, Ubuntu: apt-get install $2"
	fi
	echo "  Fedora:         dnf install $3"
	echo "  macOS:          brew install $4"
}

# The cluster that Debian makes and starts on installing a server would hold a
# port and memory on the contributor's machine; the tests make their own. A file
# of our own in the drop-in folder leaves the administrator's settings alone.
dropin=/etc/postgresql-common/createcluster.d/fulcrum-no-main-cluster.conf

without_main_cluster() {
	trap 'rm -f "$dropin"' EXIT
	mkdir -p "$(dirname "$dropin")"
	echo 'create_main_cluster = false' >"$dropin"
	"$@"
}

debian_package() { if [[ $2 != - ]]; then echo "$2"; fi; }

install_debian() {
	local packages
	packages=$(each_missing debian_package)
	if [[ -z $packages ]]; then return 0; fi
	export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # so that no server starts
	apt-get update -qq
	# Unquoted: one word per package.
	# shellcheck disable=SC2086
	without_main_cluster apt-get install -y -qq --no-install-recommends $packages
}

missing=$(each_missing say)
if [[ -z $missing ]]; then exit 0; fi

if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
	install_debian
	missing=$(each_missing say)
	if [[ -z $missing ]]; then exit 0; fi
fi
echo "$missing" >&2
exit 1
