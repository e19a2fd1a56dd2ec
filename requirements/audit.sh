#!/usr/bin/env bash
# Looks every locked distribution up in the package index's advisories. Fails on a known vulnerability, and on a
# distribution that could not be looked up: an audit that did not happen is not a clean one. Needs uv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
uv tool run pip-audit==2.10.1 --requirement cpu.lock --no-deps --disable-pip --strict --progress-spinner off "$@"
