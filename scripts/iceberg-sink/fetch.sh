#!/usr/bin/env bash
# Fetches the Apache Iceberg sink for Kafka Connect (scripts/iceberg-sink/pom.xml) from Maven Central into .cache/iceberg-sink, for bench/iceberg.py.
# Needs maven. Does nothing that is already done.
set -euo pipefail
cd "$(dirname "$0")/../.."
key=$(sha256sum scripts/iceberg-sink/pom.xml | cut -d' ' -f1)
stamp=.cache/iceberg-sink/.stamp
[ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0
command -v mvn >/dev/null || { echo "no mvn: install maven to have the Iceberg sink in the bench" >&2; exit 1; }
rm -rf .cache/iceberg-sink
mkdir -p .cache/iceberg-sink
mvn -q -B -f scripts/iceberg-sink/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/.cache/iceberg-sink/lib" -DincludeScope=runtime
printf '%s\n' "$key" >"$stamp"
