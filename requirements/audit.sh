#!/usr/bin/env bash
# Looks every locked distribution, and torch, up in the package index's advisories. Fails on a known vulnerability, and on
# a distribution that could not be looked up: an audit that did not happen is not a clean one. Needs uv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# pip-audit takes hashes for all or for none, and torch has none; only names and versions count here.
audited="$(mktemp)"
trap 'rm -f "$audited"' EXIT
sed -E '/^ +--hash=/d; s/ \\$//' cpu.lock torch.txt > "$audited"
uv tool run pip-audit==2.10.1 --requirement "$audited" --no-deps --disable-pip --strict --progress-spinner off "$@"
