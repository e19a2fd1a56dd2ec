#!/usr/bin/env bash
# DualGRPO on one 24 GB GPU after run_sft_24gb.sh: Qwen2.5-0.5B-Instruct whole, or with LORA=1 also 1.5B. Batch, lengths
# and sampling are the paper's.
#   TRAIN=rl_train.parquet VAL=rl_val.parquet bash examples/run_dualgrpo_24gb.sh [hydra overrides]
# DRY_RUN=1 composes, checks and prints the configuration without a GPU. Other variables: docs/launchers.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

GPUS="${GPUS:-1}"
TP="${TP:-1}"
run=24gb
args=(
  # Training and generation take turns on the GPU: what trains goes to the CPU meanwhile.
  actor_rollout_ref.actor.fsdp_config.param_offload=True
  actor_rollout_ref.actor.fsdp_config.optimizer_offload=True
  actor_rollout_ref.ref.fsdp_config.param_offload=True
  actor_rollout_ref.rollout.gpu_memory_utilization=0.5
  # 4096 tokens of a vocabulary of 151,936 are 2.5 GB of logits in fp32.
  actor_rollout_ref.actor.ppo_max_token_len_per_gpu=4096
  actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=4096
  actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=4096
)
if [ "${LORA:-0}" = 1 ]; then
  run=24gb_lora
  args+=(
    actor_rollout_ref.model.lora_rank=32
    actor_rollout_ref.model.lora_alpha=64
    # vLLM reads the model itself; only the adapter is sent to it after each step.
    actor_rollout_ref.rollout.load_format=safetensors
    actor_rollout_ref.rollout.layered_summon=True
    # Of FSDP1 on one GPU, which does not shard, verl can't collect the adapter (fsdp_utils.py, collect_lora_params).
    actor_rollout_ref.actor.strategy=fsdp2
    actor_rollout_ref.actor.fsdp_config.strategy=fsdp2
    actor_rollout_ref.ref.fsdp_config.strategy=fsdp2
    # Ten times that of full fine-tuning; not the paper's, which trains no adapters.
    actor_rollout_ref.actor.optim.lr=1e-5
    actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra]
  )
fi
MODEL="${MODEL:-$(newest_export "sft_$run")}"
launch_dualgrpo "dualgrpo_$run" "${args[@]}" "$@"
