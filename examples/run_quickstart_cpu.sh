#!/usr/bin/env bash
# The whole job on a machine without a GPU: a real model (SmolLM2-135M-Instruct) through SFT and DualGRPO with verl's own
# trainers and real vLLM rollouts, then an evaluation of all three models and a report.
#
#   bash examples/run_quickstart_cpu.sh                  about 23 minutes on 2 cores, set-up included
#   STEPS=60 bash examples/run_quickstart_cpu.sh         more DualGRPO steps; continues a shorter run
#   FRESH=1 bash examples/run_quickstart_cpu.sh          start over
#
# Run again after an interruption, it continues where it stopped. Sizes: STEPS, PROMPTS, ROLLOUTS, LR, CREDIT,
# GAP_CENTERING, SFT_ITEMS, SFT_LR, TEST_ITEMS, SEED. OUT is where everything goes. Further arguments are hydra
# overrides for DualGRPO.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

OUT="${OUT:-outputs/quickstart}"
SEED="${SEED:-1}"
SFT_ITEMS="${SFT_ITEMS:-320}"
SFT_LR="${SFT_LR:-2e-4}"
STEPS="${STEPS:-12}"
PROMPTS="${PROMPTS:-10}"
ROLLOUTS="${ROLLOUTS:-4}"
LR="${LR:-1e-5}"
CREDIT="${CREDIT:-shared}"
# Not the paper's setting, which is 0: see the README on how it was found.
GAP_CENTERING="${GAP_CENTERING:-1.0}"
TEST_ITEMS="${TEST_ITEMS:-25}"

# Compute in bf16 where the processor has instructions for it (several times faster); master weights are fp32.
if grep -qE 'amx_bf16|avx512_bf16' /proc/cpuinfo; then DTYPE="${DTYPE:-bfloat16}"; else DTYPE="${DTYPE:-float32}"; fi

cd "$root"
[ "${FRESH:-0}" = 1 ] && rm -rf "$OUT"
mkdir -p "$OUT/stages"
OUT="$(cd "$OUT" && pwd)"

# What the finished stages were made with. More STEPS may be added to a run; anything else would mix two runs.
settings="SEED=$SEED SFT_ITEMS=$SFT_ITEMS SFT_LR=$SFT_LR PROMPTS=$PROMPTS ROLLOUTS=$ROLLOUTS LR=$LR CREDIT=$CREDIT GAP_CENTERING=$GAP_CENTERING TEST_ITEMS=$TEST_ITEMS DTYPE=$DTYPE ARGS=$*"
if [ -f "$OUT/settings" ] && [ "$(cat "$OUT/settings")" != "$settings" ]; then
  die "$OUT was made with other settings:
  found: $(cat "$OUT/settings")
  asked: $settings
Give another OUT=..., or FRESH=1 to start over."
fi
printf '%s' "$settings" > "$OUT/settings"

# stage NAME MINUTES COMMAND...: runs it once, with its time kept for the report.
stage() {
  local name="$1" minutes="$2" start; shift 2
  if [ -f "$OUT/stages/$name" ]; then say "$name: done before"; return; fi
  say "$name: about $minutes"
  start=$SECONDS
  "$@"
  echo "$((SECONDS - start))" > "$OUT/stages/$name.part"
  mv "$OUT/stages/$name.part" "$OUT/stages/$name"
  say "$name: took $((SECONDS - start)) s"
}

# Huge pages for torch's tensors, where the kernel gives them on request.
export THP_MEM_ALLOC_ENABLE=1
export VLLM_NO_USAGE_STATS=1 RAY_USAGE_STATS_ENABLED=0 TOKENIZERS_PARALLELISM=false
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_DATASETS_OFFLINE=1
export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"

make_model() { python examples/quickstart/convert_model.py --out "$OUT/models/base"; }

make_data() {
  personadual data quickstart --out "$OUT/data" --seed "$SEED" --sft-items "$SFT_ITEMS" \
    --test-items-per-condition "$TEST_ITEMS"
}

run_sft() {
  VERL_PLATFORM=cpu torchrun --standalone --nproc_per_node=1 -m verl.trainer.sft_trainer \
    --config-path pkg://personadual.config --config-name personadual_sft +platform=cpu_sft \
    model.path="$OUT/models/base" \
    model.enable_gradient_checkpointing=False \
    engine.mixed_precision.param_dtype="$DTYPE" \
    data.train_files="$OUT/data/sft_train.parquet" \
    data.train_batch_size=16 \
    data.max_length=160 \
    data.max_token_len_per_gpu=2048 \
    optim.lr="$SFT_LR" \
    checkpoint.save_contents=[hf_model] \
    trainer.seed="$SEED" \
    trainer.save_freq=after_each_epoch \
    trainer.logger=[console] \
    trainer.default_local_dir="$OUT/sft" \
    hydra.run.dir="$OUT/sft/hydra"
  export_model "$OUT"/sft/global_step_*/huggingface "$OUT/models/sft"
}

# export_model FROM TO: verl writes the trained model in Hugging Face's format beside its checkpoint (hf_model).
export_model() {
  [ -f "$1/config.json" ] || die "no exported model in $1"
  rm -rf "$2" "$2.part"
  cp -r "$1" "$2.part"
  mv "$2.part" "$2"
}

run_dualgrpo() {
  local attempt
  attempt="$(date +%s)"
  mkdir -p "$OUT/dualgrpo/metrics"
  VERL_PLATFORM=cpu VERL_FILE_LOGGER_PATH="$OUT/dualgrpo/metrics/$attempt.jsonl" \
    python -m verl.trainer.main_ppo \
    --config-path pkg://personadual.config --config-name dual_grpo_trainer +platform=cpu \
    actor_rollout_ref.model.path="$OUT/models/sft" \
    actor_rollout_ref.model.enable_gradient_checkpointing=False \
    actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype="$DTYPE" \
    data.train_files="$OUT/data/rl_train.parquet" \
    data.val_files="$OUT/data/rl_val.parquet" \
    data.shuffle=False \
    data.seed="$SEED" \
    data.train_batch_size="$PROMPTS" \
    data.max_prompt_length=96 \
    data.max_response_length=40 \
    algorithm.dual_grpo.credit="$CREDIT" \
    algorithm.dual_grpo.gap_centering="$GAP_CENTERING" \
    actor_rollout_ref.actor.ppo_mini_batch_size="$PROMPTS" \
    actor_rollout_ref.actor.optim.lr="$LR" \
    actor_rollout_ref.actor.entropy_coeff=0 \
    actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model] \
    actor_rollout_ref.rollout.dtype="$DTYPE" \
    actor_rollout_ref.rollout.n="$ROLLOUTS" \
    actor_rollout_ref.rollout.temperature=1.0 \
    actor_rollout_ref.rollout.max_model_len=160 \
    trainer.total_training_steps="$STEPS" \
    trainer.save_freq=5 \
    trainer.max_actor_ckpt_to_keep=1 \
    trainer.test_freq=-1 \
    trainer.val_before_train=False \
    trainer.logger=[console,file] \
    trainer.default_local_dir="$OUT/dualgrpo" \
    trainer.rollout_data_dir="$OUT/dualgrpo/rollouts" \
    hydra.run.dir="$OUT/dualgrpo/hydra" \
    "$@"
  export_model "$OUT/dualgrpo/global_step_$STEPS/actor/huggingface" "$OUT/models/dualgrpo"
}

evaluate() { # LABEL
  personadual eval --model "$OUT/models/$1" --label "$1" --data "$OUT/data/test.parquet" \
    --out "$OUT/generations/$2.jsonl" --max-tokens 40 --seed "$SEED"
}

report() {
  personadual report "$OUT"/generations/{base,sft}.jsonl "$OUT/generations/dualgrpo_$STEPS.jsonl" \
    --training-log "$OUT"/dualgrpo/metrics/*.jsonl --manifest "$OUT/data/manifest.json" --out "$OUT"
}

say "PersonaDual quickstart: $STEPS DualGRPO steps of $PROMPTS prompts x $ROLLOUTS rollouts, into $OUT
Expect about $((17 + STEPS * PROMPTS * ROLLOUTS * 7 / 600)) minutes on 2 cores, and as much less as there is done already."

bash requirements/install_cpu.sh "$root/.venv"
export PATH="$root/.venv/bin:$PATH"

stage model "1 minute" make_model
stage data "a few seconds" make_data
stage sft "5 minutes" run_sft
stage "dualgrpo_$STEPS" "$((3 + STEPS * PROMPTS * ROLLOUTS * 7 / 600)) minutes" run_dualgrpo "$@"
stage eval_base "2 minutes" evaluate base base
stage eval_sft "2 minutes" evaluate sft sft
stage "eval_dualgrpo_$STEPS" "2 minutes" evaluate dualgrpo "dualgrpo_$STEPS"
report
say "The report: $OUT/report.md"
