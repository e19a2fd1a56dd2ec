#!/usr/bin/env bash
# DualGRPO on Qwen3-30B-A3B (mixture of experts) without thinking, 2 x 8 x 80 GB, FSDP2 and vLLM. Batch, learning rate,
# lengths, TP 8 and vLLM's 0.4 of the memory are the paper's; FSDP2 with both offloads is how verl's own example trains
# this model (examples/grpo_trainer/run_qwen3_30b_a3b_fsdp.sh, v0.9.0).
#   RAY_ADDRESS=auto TRAIN=rl_train.parquet VAL=rl_val.parquet bash examples/run_dualgrpo_qwen3_30b_a3b.sh [hydra overrides]
#
# Composed and checked without a GPU; no part of it has been run on this model. Megatron (model_engine=megatron), which
# verl has an example for too, has not even been composed. For its SFT see docs/launchers.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MODEL="${MODEL:-$(newest_export sft_qwen3_30b_a3b)}"
NNODES="${NNODES:-2}"
GPUS="${GPUS:-8}"
TP="${TP:-8}"
launch_dualgrpo dualgrpo_qwen3_30b_a3b \
  +data.apply_chat_template_kwargs.enable_thinking="$(thinking)" \
  actor_rollout_ref.actor.strategy=fsdp2 \
  actor_rollout_ref.actor.fsdp_config.param_offload=True \
  actor_rollout_ref.actor.fsdp_config.optimizer_offload=True \
  actor_rollout_ref.ref.fsdp_config.param_offload=True \
  actor_rollout_ref.rollout.gpu_memory_utilization=0.4 \
  actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra] \
  "$@"
