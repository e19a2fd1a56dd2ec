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

cd "$root"
[ "${FRESH:-0}" = 1 ] && rm -rf "$OUT"
mkdir -p "$OUT/stages"
OUT="$(cd "$OUT" && pwd)"
source examples/cpu_stages.sh

# What the finished stages were made with. More STEPS may be added to a run; anything else would mix two runs.
settings="SEED=$SEED SFT_ITEMS=$SFT_ITEMS SFT_LR=$SFT_LR PROMPTS=$PROMPTS ROLLOUTS=$ROLLOUTS LR=$LR CREDIT=$CREDIT GAP_CENTERING=$GAP_CENTERING TEST_ITEMS=$TEST_ITEMS DTYPE=$DTYPE ARGS=$*"
if [ -f "$OUT/settings" ] && [ "$(cat "$OUT/settings")" != "$settings" ]; then
  die "$OUT was made with other settings:
  found: $(cat "$OUT/settings")
  asked: $settings
Give another OUT=..., or FRESH=1 to start over."
fi
printf '%s' "$settings" > "$OUT/settings"

make_model() { python examples/quickstart/convert_model.py --out "$OUT/models/base"; }

make_data() {
  personadual data quickstart --out "$OUT/data" --seed "$SEED" --sft-items "$SFT_ITEMS" \
    --test-items-per-condition "$TEST_ITEMS"
}

run_sft() {
  train_sft "$OUT/models/base" "$OUT/data/sft_train.parquet" "$OUT/sft" optim.lr="$SFT_LR"
  export_model "$(newest_step "$OUT/sft")/huggingface" "$OUT/models/sft"
}

run_dualgrpo() {
  train_rl "$OUT/models/sft" "$OUT/data/rl_train.parquet" "$OUT/data/rl_val.parquet" "$OUT/dualgrpo" \
    "$PROMPTS" "$ROLLOUTS" \
    algorithm.dual_grpo.credit="$CREDIT" \
    algorithm.dual_grpo.gap_centering="$GAP_CENTERING" \
    actor_rollout_ref.actor.optim.lr="$LR" \
    trainer.total_training_steps="$STEPS" \
    trainer.save_freq=5 \
    "$@"
  export_model "$OUT/dualgrpo/global_step_$STEPS/actor/huggingface" "$OUT/models/dualgrpo"
}

evaluate() { # LABEL FILE
  personadual eval "$1=$OUT/models/$1" --data "$OUT/data/test.parquet" \
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
say "The report: $OUT/report.html (a page), $OUT/report.md"
