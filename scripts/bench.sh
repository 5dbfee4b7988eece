#!/usr/bin/env bash
# Install the peers of the benchmarks in a venv of their own. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${BENCH_VENV:-.venv/bench}
if [ "$venv/.installed" -nt requirements/bench.lock ]; then exit 0; fi
if [ -n "${PIP_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}; fi
# The system's Python: unoserver runs under it, for it alone has `uno`, and takes its package from here.
/usr/bin/python3 -m venv --without-pip "$venv"
${UV:-.venv/bin/uv} pip install -q --python "$venv/bin/python" --require-hashes -r requirements/bench.lock
touch "$venv/.installed"
