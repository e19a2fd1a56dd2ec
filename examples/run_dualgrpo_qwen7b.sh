#!/usr/bin/env bash
# DualGRPO on Qwen2.5-7B-Instruct after run_sft_qwen7b.sh, 8 x 80 GB, FSDP and vLLM, with the paper's settings.
#   TRAIN=rl_train.parquet VAL=rl_val.parquet bash examples/run_dualgrpo_qwen7b.sh [hydra overrides]
#   ARM=grpo_free ... bash examples/run_dualgrpo_qwen7b.sh             a baseline on the same data and budget
# DRY_RUN=1 composes, checks and prints the configuration without a GPU. Other variables: docs/launchers.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MODEL="${MODEL:-$(newest_export sft_qwen7b)}"
launch_dualgrpo dualgrpo_qwen7b "$@"
