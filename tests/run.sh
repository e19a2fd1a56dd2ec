#!/usr/bin/env bash
# Every check of the project, on a fresh machine too: environment, lint, types, unit and contract tests, and the whole
# pipeline on a tiny model with verl's real trainers and real vLLM. About half an hour on 2 cores, set-up included.
#   bash tests/run.sh [pytest arguments]
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

bash requirements/install_cpu.sh "$root/.venv"
export PATH="$root/.venv/bin:$PATH"

echo "== lint"
ruff check .
ruff format --check .

echo "== types"
# One import name over three folders: mypy reads them as the build lays them out.
build="$(mktemp -d)"
trap 'rm -rf "$build"' EXIT
python setup.py -q build --build-base "$build/base" --build-lib "$build/lib" > /dev/null
MYPYPATH="$build/lib" mypy --cache-dir "$root/.mypy_cache" -p personadual

echo "== tests"
# One pytest run; it must not take an accelerator or a platform from the caller's environment.
env -u VERL_PLATFORM python -m pytest tests "$@"
