#!/usr/bin/env bash
# Every check of the project, on a fresh machine too: environment, lint, types, unit and contract tests, and the whole
# pipeline on a tiny model with verl's real trainers and real vLLM. About 40 minutes on 2 cores, set-up included.
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
# They must not take an accelerator or a platform from the caller's environment.
unset VERL_PLATFORM
if [ $# -gt 0 ]; then
  python -m pytest tests "$@"
  exit
fi
# verl's RL trainer starts a dozen processes, each of which waits for the one before: one core. All other tests run beside.
python -m pytest tests/e2e -m rl > "$build/rl.log" 2>&1 &
rl=$!
trap 'kill "$rl" 2> /dev/null || true; wait "$rl" || true; rm -rf "$build"' EXIT
status=0
python -m pytest tests -m "not rl" || status=1
wait "$rl" || status=1
echo "== tests of verl's RL trainer, which ran beside them"
cat "$build/rl.log"
exit "$status"
