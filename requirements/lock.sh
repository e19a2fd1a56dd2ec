#!/usr/bin/env bash
# Rewrites cpu.lock from cpu.in: every distribution with its hashes, except torch, which differs per machine.
# Needs uv. pip installs the result with --no-deps --require-hashes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
uv pip compile cpu.in --override overrides.txt --universal --python-version 3.11 \
  --generate-hashes --no-header --no-annotate --no-emit-index-url \
  --no-emit-package torch --no-emit-package torchvision --no-emit-package torchaudio \
  --no-emit-package torchcodec --no-emit-package triton --output-file cpu.lock
