#!/usr/bin/env bash
# Builds flow.bpf.c. Usage: build.sh [OUTPUT]; without one it replaces the committed object. The object has BTF but neither
# DWARF nor paths, so the same clang gives the same bytes everywhere; other versions give other, equally good, code.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-flow.bpf.o}
clang -O2 -g -mcpu=v3 -target bpf -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-const-variable -Wno-int-conversion \
  -ffile-prefix-map="$PWD"=. -c flow.bpf.c -o "$out"
llvm-strip -g "$out"
