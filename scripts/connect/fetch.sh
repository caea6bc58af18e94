#!/usr/bin/env bash
# Fetches Kafka Connect (scripts/connect/pom.xml) from Maven Central into .cache/connect, for the benches. Needs maven. Does nothing that is already done.
set -euo pipefail
cd "$(dirname "$0")/../.."
key=$(sha256sum scripts/connect/pom.xml | cut -d' ' -f1)
stamp=.cache/connect/.stamp
[ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0
command -v mvn >/dev/null || { echo "no mvn: install maven to have Kafka Connect in the benches" >&2; exit 1; }
rm -rf .cache/connect
mkdir -p .cache/connect
mvn -q -B -f scripts/connect/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/.cache/connect/lib" -DincludeScope=runtime
printf '%s\n' "$key" >"$stamp"
