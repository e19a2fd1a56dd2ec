#!/usr/bin/env bash
# SFT on both modes of Llama-3.1-8B-Instruct, 8 x 80 GB, FSDP, with the paper's settings.
#   TRAIN=sft_train.parquet bash examples/run_sft_llama3_8b.sh [hydra overrides]
# DRY_RUN=1 composes, checks and prints the configuration without a GPU. Other variables: docs/launchers.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MODEL="${MODEL:-meta-llama/Llama-3.1-8B-Instruct}"
launch_sft sft_llama3_8b "$@"
