#!/usr/bin/env bash
# Style, types and tests, in an environment of its own. Needs Python 3.11 or 3.12 and a package registry.
set -euo pipefail
source "$(dirname "$0")/setup.sh" dev,onnx,serve,train,ui
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/pyright
# As many processes as cores, at most four, with one thread each: faster than one process with many threads.
OMP_NUM_THREADS=1 exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
