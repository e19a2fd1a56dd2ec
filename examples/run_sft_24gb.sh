#!/usr/bin/env bash
# SFT on both modes on one 24 GB GPU: Qwen2.5-0.5B-Instruct whole, or with LORA=1 also 1.5B.
#   TRAIN=sft_train.parquet bash examples/run_sft_24gb.sh [hydra overrides]
#   LORA=1 MODEL=Qwen/Qwen2.5-1.5B-Instruct TRAIN=... bash examples/run_sft_24gb.sh [hydra overrides]
# With LORA=1 the adapter is merged into the model at the end: RL's KL term holds a LoRA policy to the model under its
# adapter (verl's ref_in_actor), and that has to be the SFT model.
# DRY_RUN=1 composes, checks and prints the configuration without a GPU. Other variables: docs/launchers.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

MODEL="${MODEL:-Qwen/Qwen2.5-0.5B-Instruct}"
GPUS="${GPUS:-1}"
run=sft_24gb
args=(
  # 4096 tokens of a vocabulary of 151,936 are 2.5 GB of logits in fp32.
  data.max_token_len_per_gpu=4096
)
if [ "${LORA:-0}" = 1 ]; then
  run=sft_24gb_lora
  args+=(
    model.lora_rank=32
    model.lora_alpha=64
    # Ten times that of full fine-tuning; not the paper's, which trains no adapters.
    optim.lr=1e-4
    # verl's hf_model export would write the adapter's names into a plain model.
    checkpoint.save_contents=[model,optimizer,extra]
  )
fi
launch_sft "$run" "${args[@]}" "$@"

# merge_adapter STEP: the SFT model of checkpoint STEP, adapter included, as a plain model in STEP/huggingface.
merge_adapter() {
  python -m verl.model_merger merge --backend fsdp --local_dir "$1" --target_dir "$1/parts"
  rm -rf "$1/merged"
  python - "$1/parts" "$1/merged" <<'PY'
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

parts, merged = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(parts, dtype=torch.float32)
model = PeftModel.from_pretrained(model, f"{parts}/lora_adapter").merge_and_unload()
model.to(torch.bfloat16).save_pretrained(merged)
AutoTokenizer.from_pretrained(parts).save_pretrained(merged)
PY
  # The folder holds the configuration and tokenizer already, which a repeated merge reads.
  mv -f "$1"/merged/* "$1/huggingface/"
  rm -rf "$1/merged" "$1/parts"
}
if [ "${LORA:-0}" = 1 ] && [ "${DRY_RUN:-0}" != 1 ]; then merge_adapter "$(newest_step "$OUT")"; fi
