#!/usr/bin/env bash
# SFT on both modes of Qwen3-8B without thinking (a model of the paper), 8 x 80 GB, FSDP, with the paper's settings.
#   TRAIN=sft_train.parquet bash examples/run_sft_qwen3_8b.sh [hydra overrides]
# DRY_RUN=1 composes, checks and prints the configuration without a GPU. Other variables: docs/launchers.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MODEL="${MODEL:-Qwen/Qwen3-8B}"
launch_sft sft_qwen3_8b \
  +data.apply_chat_template_kwargs.enable_thinking=False \
  data.enable_thinking_default=False \
  "$@"
