#!/usr/bin/env bash
# SFT on both modes of Qwen2.5-7B-Instruct, 8 x 80 GB, FSDP, with the paper's settings.
#   MODEL=Qwen/Qwen2.5-7B-Instruct TRAIN=sft_train.parquet bash examples/run_sft_qwen7b.sh [overrides]
# Further arguments are hydra overrides. DRY_RUN=1 composes and prints the configuration; it needs no GPU.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MODEL="${MODEL:-Qwen/Qwen2.5-7B-Instruct}"
TRAIN="${TRAIN:-data/sft_train.parquet}"
NAME="${NAME:-sft_qwen7b}"
NNODES="${NNODES:-1}"
GPUS="${GPUS:-8}"

ARGS=(
  --config-path pkg://personadual.config
  --config-name personadual_sft
  model.path="$MODEL"
  data.train_files="$TRAIN"
  trainer.nnodes="$NNODES"
  trainer.n_gpus_per_node="$GPUS"
  trainer.experiment_name="$NAME"
)
if [ "${DRY_RUN:-0}" = 1 ]; then
  python -m verl.trainer.sft_trainer "${ARGS[@]}" "$@" --cfg job --resolve
else
  torchrun --nnodes="$NNODES" --nproc_per_node="$GPUS" -m verl.trainer.sft_trainer "${ARGS[@]}" "$@"
fi
