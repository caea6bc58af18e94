#!/usr/bin/env bash
# All benches: the API, the broker, pipelines, DIS, flow logs, Iceberg tables, then the copies, then a million keys (about 90 minutes on two cores). Arguments go to copy.py (--rounds 3, --jobs small-up).
set -euo pipefail
cd "$(dirname "$0")/.."
.cache/venv/bin/python bench/api.py
.cache/venv/bin/python bench/broker.py
.cache/venv/bin/python bench/pipelines.py
.cache/venv/bin/python bench/dis.py
.cache/venv/bin/python bench/flows.py
.cache/venv/bin/python bench/iceberg.py
.cache/venv/bin/python bench/copy.py "$@"
.cache/venv/bin/python bench/million.py
