#!/usr/bin/env bash
# Bundles internal/beacon/web/experience.js with web-vitals into fulcrum.js. The result is
# committed: only who changes the script needs npm.
set -euo pipefail
cd "$(dirname "$0")/.."
into=$PWD/internal/beacon/web
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cp "$into/experience.js" "$build/"
cd "$build"
npm install --silent --no-audit --no-fund web-vitals@6.2.3 esbuild@0.28.2
npx --no-install esbuild experience.js --bundle --minify --format=iife --target=es2021 \
	--banner:js='/* web-vitals: Apache-2.0, Copyright Google LLC */' --outfile="$into/fulcrum.js"
cp node_modules/web-vitals/LICENSE "$into/LICENSE-web-vitals.txt"
