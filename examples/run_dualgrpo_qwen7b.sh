#!/usr/bin/env bash
# DualGRPO on Qwen2.5-7B-Instruct, 8 x 80 GB, FSDP and vLLM, with the paper's settings.
#   MODEL=path/to/sft/huggingface TRAIN=rl_train.parquet VAL=rl_val.parquet bash examples/run_dualgrpo_qwen7b.sh [overrides]
# Further arguments are hydra overrides. DRY_RUN=1 composes, checks and prints the configuration; it needs no GPU.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MODEL="${MODEL:-checkpoints/personadual/sft_qwen7b/export}"
TRAIN="${TRAIN:-data/rl_train.parquet}"
VAL="${VAL:-data/rl_val.parquet}"
NAME="${NAME:-dualgrpo_qwen7b}"
NNODES="${NNODES:-1}"
GPUS="${GPUS:-8}"
TP="${TP:-4}"

run_or_check_ppo dual_grpo_trainer \
  actor_rollout_ref.model.path="$MODEL" \
  data.train_files="$TRAIN" \
  data.val_files="$VAL" \
  actor_rollout_ref.rollout.tensor_model_parallel_size="$TP" \
  trainer.nnodes="$NNODES" \
  trainer.n_gpus_per_node="$GPUS" \
  trainer.experiment_name="$NAME" \
  "$@"
