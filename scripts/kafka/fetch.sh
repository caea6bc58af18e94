#!/usr/bin/env bash
# Fetches Apache Kafka (scripts/kafka/pom.xml) from Maven Central into .cache/kafka, for the tests. Needs maven. Does nothing that is already done.
set -euo pipefail
cd "$(dirname "$0")/../.."
key=$(sha256sum scripts/kafka/pom.xml | cut -d' ' -f1)
stamp=.cache/kafka/.stamp
[ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0
command -v mvn >/dev/null || { echo "no mvn: install maven to have Apache Kafka in the tests" >&2; exit 1; }
rm -rf .cache/kafka
mkdir -p .cache/kafka
mvn -q -B -f scripts/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/.cache/kafka/lib" -DincludeScope=runtime
printf '%s\n' "$key" >"$stamp"
