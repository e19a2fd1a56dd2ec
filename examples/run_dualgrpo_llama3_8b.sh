#!/usr/bin/env bash
# DualGRPO on Llama-3.1-8B-Instruct after run_sft_llama3_8b.sh, 8 x 80 GB, FSDP and vLLM, with the paper's settings.
#   TRAIN=rl_train.parquet VAL=rl_val.parquet bash examples/run_dualgrpo_llama3_8b.sh [hydra overrides]
# DRY_RUN=1 composes, checks and prints the configuration without a GPU. Other variables: docs/launchers.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MODEL="${MODEL:-$(newest_export sft_llama3_8b)}"
launch_dualgrpo dualgrpo_llama3_8b "$@"
