#!/usr/bin/env bash
# Fetches OpenSearch (scripts/opensearch/pom.xml) from Maven Central into .cache/opensearch, for the tests. Needs maven. Does nothing that is already done.
set -euo pipefail
cd "$(dirname "$0")/../.."
key=$(sha256sum scripts/opensearch/pom.xml | cut -d' ' -f1)
stamp=.cache/opensearch/.stamp
[ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0
command -v mvn >/dev/null || { echo "no mvn: install maven to have OpenSearch in the tests" >&2; exit 1; }
rm -rf .cache/opensearch
mkdir -p .cache/opensearch
mvn -q -B -f scripts/opensearch/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/.cache/opensearch/lib" -DincludeScope=runtime
printf '%s\n' "$key" >"$stamp"
