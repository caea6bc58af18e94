#!/usr/bin/env bash
# All tests, in the order in which they fail fastest. A failed stage does not stop the later ones; the last line sums everything up and the
# exit code is non-zero when anything failed. Run through `make test`, which sets the machine up first; the logs are in .cache/logs.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=$PWD/.cache/logs
mkdir -p "$logs"
target=${CARGO_TARGET_DIR:-$PWD/target}
python=.cache/venv/bin/python
export CARGO_TERM_COLOR=never PYTHONDONTWRITEBYTECODE=1

[ -z "${WHARF_TEST_CHDB:-}" ] && [ -x .cache/chdb/bin/python ] && export WHARF_TEST_CHDB=$PWD/.cache/chdb/bin/python

passed=0 failed=0 skipped=0
failures=() reasons=() timings=()

# stage NAME COMMAND…: runs it with its output in a log, says how long it took, shows the end of the log when it failed.
stage() {
  local name=$1 began=$SECONDS code=0; shift
  printf '%-10s …\n' "$name"
  "$@" >"$logs/$name.log" 2>&1 </dev/null || code=$?
  timings+=("$(printf '%-10s %5d s' "$name" $((SECONDS - began)))")
  if [ $code -eq 0 ]; then
    printf '%-10s ok in %d s\n' "$name" $((SECONDS - began))
  else
    printf '%-10s FAILED (exit %d) after %d s; the end of %s:\n' "$name" $code $((SECONDS - began)) "$logs/$name.log"
    tail -n "${STAGE_TAIL:-60}" "$logs/$name.log"
    failures+=("$name")
  fi
  return $code
}

# A check that is no test counts only when it fails.
check() { stage "$@" || failed=$((failed + 1)); }

# Adds up cargo's "test result:" lines. A test that found its real peer missing prints "SKIPPED: reason" and counts as skipped, not as passed.
count_cargo() {
  local log=$logs/cargo-test.log p f i reason
  read -r p f i < <(awk '/^test result:/ { for (k = 1; k < NF; k++) { if ($(k+1) == "passed;") p += $k; if ($(k+1) == "failed;") f += $k; if ($(k+1) == "ignored;") i += $k } }
    END { print p + 0, f + 0, i + 0 }' "$log")
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + i))
  while IFS= read -r reason; do
    reasons+=("cargo: $reason"); skipped=$((skipped + 1)); passed=$((passed - 1))
  done < <(sed -n 's/^.*SKIPPED: *//p' "$log")
  while IFS= read -r reason; do reasons+=("cargo: ignored: $reason"); done < <(sed -n 's/^test \(.*\) \.\.\. ignored\(.*\)$/\1\2/p' "$log")
  grep -E '^test .* FAILED$|^error' "$log" | head -n 40
  [ "$1" -ne 0 ] && [ "$f" -eq 0 ] && failed=$((failed + 1))
  return 0
}

count_pytest() {
  local log=$logs/pytest.log line word n f=0
  line=$(grep -E '^(=+ )?[0-9]+ (passed|failed|skipped|error|xfailed|deselected).* in [0-9.]+s' "$log" | tail -n 1)
  for word in passed failed skipped error; do
    n=$(grep -oE "[0-9]+ $word" <<<"$line" | cut -d' ' -f1)
    case $word in
      passed) passed=$((passed + ${n:-0})) ;;
      skipped) skipped=$((skipped + ${n:-0})) ;;
      *) failed=$((failed + ${n:-0})) f=$((f + ${n:-0})) ;;
    esac
  done
  while IFS= read -r n; do reasons+=("pytest: $n"); done < <(sed -n 's/^SKIPPED //p' "$log")
  # Nothing collected, a crash of the runner, a timeout: no count, but no success either.
  [ "$1" -ne 0 ] && [ $f -eq 0 ] && failed=$((failed + 1))
  return 0
}

check fmt cargo fmt --all --check
check clippy cargo clippy --workspace --all-targets --locked -- -D warnings
check tidy cargo xtask tidy
check licenses cargo xtask licenses
stage cargo-test cargo test --workspace --locked --no-fail-fast -- --show-output; count_cargo $?
if stage build cargo build --workspace --bins --examples --locked; then
  if [ -x "$python" ]; then
    WHARF_BIN=${WHARF_BIN:-$target/debug/wharf} FAULT_PROXY_BIN=${FAULT_PROXY_BIN:-$target/debug/fault-proxy} \
      EMBEDDED_S3_BIN=${EMBEDDED_S3_BIN:-$target/debug/examples/serve} \
      stage pytest "$python" -m pytest tests -p no:cacheprovider -q -rfEs --timeout=600 --durations=10 ${PYTEST_ARGS:-}; count_pytest $?
  else
    printf 'pytest     FAILED: no %s; run scripts/setup.sh test\n' "$python"
    failures+=(pytest) failed=$((failed + 1))
  fi
else
  failed=$((failed + 1))
fi

printf '\ntime per stage:\n'; printf '  %s\n' "${timings[@]}"
if [ ${#reasons[@]} -gt 0 ]; then printf 'skipped:\n'; printf '  SKIPPED %s\n' "${reasons[@]}"; fi
if [ ${#failures[@]} -gt 0 ]; then printf 'failed stages: %s\n' "${failures[*]}"; fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ ${#failures[@]} -eq 0 ]
