#!/usr/bin/env bash
# The experiment of docs/experiment.md, on a machine without a GPU: SmolLM2-135M-Instruct (vocabulary cut to the texts of
# the bed) through SFT and up to 60 RL steps per arm and seed, evaluated on the validation split.
#
#   bash examples/run_experiment_cpu.sh                  every missing cell of examples/experiment/cells.txt, one by one
#   bash examples/run_experiment_cpu.sh dual_grpo 1      one cell: ARM SEED; STEPS after it stops earlier
#   bash examples/run_experiment_cpu.sh report val       a report of all answers to the validation split
#   bash examples/run_experiment_cpu.sh test             the cells' models answer the test split
#   bash examples/run_experiment_cpu.sh report test      a report of these answers, once the settings are chosen
#   bash examples/run_experiment_cpu.sh restore          take the published answers for cells that are done
#
# Stop it whenever you like: the same command continues, an RL run from its last checkpoint. OUT is where everything
# goes; STEPS, PROMPTS, ROLLOUTS, LR apply to every arm, so another value needs another OUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

OUT="${OUT:-outputs/experiment}"
STEPS="${STEPS:-60}"
PROMPTS="${PROMPTS:-14}"
ROLLOUTS="${ROLLOUTS:-4}"
LR="${LR:-5e-5}"
SFT_LR="${SFT_LR:-2e-4}"
# Prompts of each condition in a batch of 14: neither mode has the larger signal over a batch (docs/experiment.md).
MIX=(none=2 unaligned=2 aligned=5 conflicting=2 personal=3)
# Far from it: mostly prompts whose right mode is general.
UNBALANCED=(none=5 unaligned=4 aligned=1 conflicting=3 personal=1)

cd "$root"
mkdir -p "$OUT/stages"
OUT="$(cd "$OUT" && pwd)"
SEED=1
source examples/cpu_stages.sh
source examples/experiment/arms.sh
source examples/experiment/queue.sh
CELLS="${CELLS:-$root/examples/experiment/cells.txt}"

settings="STEPS=$STEPS PROMPTS=$PROMPTS ROLLOUTS=$ROLLOUTS LR=$LR SFT_LR=$SFT_LR MIX=${MIX[*]} DTYPE=$DTYPE"
if [ -f "$OUT/settings" ] && [ "$(cat "$OUT/settings")" != "$settings" ]; then
  die "$OUT was made with other settings:
  found: $(cat "$OUT/settings")
  asked: $settings
Give another OUT=..."
fi
printf '%s' "$settings" > "$OUT/settings"

make_data() { # FOLDER [arguments]; a later --rl-weight of a condition counts
  personadual data quickstart --out "$1" --seed 1 --relations capital currency --min-population 50000 \
    --sft-items 160 --sft-known-share 0.5 --claims-by-knowledge --doubtful-false-claims --rl-rounds "$STEPS" "${MIX[@]/#/--rl-weight=}" \
    --val-items-per-condition 36 --test-items-per-condition 60 "${@:2}"
}

make_base() {
  python examples/quickstart/convert_model.py --out "$OUT/models/whole"
  python examples/experiment/trim_vocab.py --model "$OUT/models/whole" --texts "$OUT"/data/*.parquet \
    --out "$OUT/models/base"
}

make_sft() { # EPOCHS NAME
  local rows="$OUT/data/sft_train.parquet"
  # On the file as it is every seed gives the same model (shuffle_rows.py). Seeds 1 to 3 are that one: what differs
  # between their runs is RL. From 4 on a seed has an SFT model of its own.
  if [ "$SEED" -gt 3 ]; then
    rows="$OUT/data/sft_train_s$SEED.parquet"
    python examples/experiment/shuffle_rows.py --rows "$OUT/data/sft_train.parquet" --seed "$SEED" --out "$rows"
  fi
  train_sft "$OUT/models/base" "$rows" "$OUT/runs/$2" optim.lr="$SFT_LR" \
    trainer.total_epochs="$1" trainer.max_ckpt_to_keep=1
  export_model "$(newest_step "$OUT/runs/$2")/huggingface" "$OUT/models/$2"
  rm -rf "$OUT/runs/$2"/global_step_*
}

train_arm() { # ARM SEED STEPS NAME
  local changes folder="$OUT/runs/$1_s$2"
  mapfile -t changes < <(overrides "$1")
  # Warm-up in steps, so that a short run is the beginning of a long one.
  train_rl "$OUT/models/sft_s$2" "$OUT/data/rl_train.parquet" "$OUT/data/rl_val.parquet" "$folder" "$PROMPTS" "$ROLLOUTS" \
    actor_rollout_ref.actor.optim.lr="$LR" actor_rollout_ref.actor.optim.lr_warmup_steps=$((STEPS / 10)) \
    data.max_response_length=32 trainer.total_training_steps="$3" trainer.save_freq=10 "${changes[@]}"
  export_model "$folder/global_step_$3/actor/huggingface" "$OUT/models/$4"
  # What a longer cell of the list goes on from stays.
  listed | awk -v arm="$1" -v seed="$2" -v end="$3" -v whole="$STEPS" \
    '$1 == arm && $2 == seed && ($3 ? $3 : whole) > end + 0 { more = 1 } END { exit !more }' ||
    rm -rf "$folder"/global_step_* "$folder"/latest_checkpointed_iteration.txt
}

evaluate() { # NAME LABEL SEED SPLIT [FOLDER arguments]: greedy, free and in both modes
  local file="$OUT/data/$4.parquet"
  [ "$4" != val ] || file="$OUT/data/rl_val.parquet"
  personadual eval "$2=$OUT/models/$1" --seed "$3" --data "$file" --out "$OUT/generations/${5:-$4}/$1.jsonl" \
    --max-tokens 40 "${@:6}"
}

# cell ARM SEED [STEPS]: one model and its answers on the validation split.
cell() {
  local arm="$1" steps="${3:-$STEPS}" name
  name="$(name_of "$@")"
  SEED="$2"
  stage data "10 seconds" make_data "$OUT/data"
  stage data_control "10 seconds" make_data "$OUT/data_control" --reassign-modes
  stage data_unbalanced "10 seconds" make_data "$OUT/data_unbalanced" "${UNBALANCED[@]/#/--rl-weight=}"
  stage base_s1 "1 minute" make_base
  case "$arm" in
    base) ln -sfn base "$OUT/models/$name" ;;
    sft) stage "$name" "7 minutes" make_sft 2 "$name" ;;
    sft_twice) stage "$name" "14 minutes" make_sft 4 "$name" ;;
    *)
      overrides "$arm" > /dev/null
      stage "sft_s$SEED" "7 minutes" make_sft 2 "sft_s$SEED"
      stage "$name" "$((2 + steps * PROMPTS * ROLLOUTS * 7 / 1000)) minutes" train_arm "$arm" "$SEED" "$steps" "$name"
      ;;
  esac
  stage "val_$name" "2 minutes" evaluate "$name" "$arm${3:+@$3}" "$SEED" val
}

# test: every full-length model that is there answers the test split, those of the first seed also its questions under
# personas that order a mode. No answer is shown.
test_split() {
  local arm seed steps name
  while read -r arm seed steps; do
    name="$(name_of "$arm" "$seed")"
    if [ -n "$steps" ] || [ ! -d "$OUT/models/$name" ] || [ ! -f "$OUT/stages/val_$name" ]; then continue; fi
    stage "test_$name" "3 minutes" evaluate "$name" "$arm" "$seed" test < /dev/null
    if [ "$seed" = 1 ] && [ "$arm" != base ]; then
      stage "orders_$name" "2 minutes" evaluate "$name" "$arm" 1 test orders --free-only --derive orders < /dev/null
    fi
  done < <(listed)
}

# report KIND [arguments]: of the answers in generations/KIND.
report() {
  local manifest=()
  # Not there where the answers were restored.
  if [ -f "$OUT/data/manifest.json" ]; then manifest=(--manifest "$OUT/data/manifest.json"); fi
  personadual report "$OUT/generations/$1"/*.jsonl "${manifest[@]}" --out "$OUT/report_$1" "${@:2}"
}

bash requirements/install_cpu.sh "$root/.venv"
export PATH="$root/.venv/bin:$PATH"

case "$#-${1:-}" in
  0-) queue ;;
  1-test) test_split ;;
  1-restore) python examples/experiment/archive.py restore "$OUT" docs/results/experiment ;;
  *-report) report "${@:2}" ;;
  2-* | 3-*) cell "$@" ;;
  *) die "ARM SEED [STEPS], or test, or report SPLIT, or restore, or nothing is needed; found: $*" ;;
esac
