#!/usr/bin/env bash
# The runs of docs/is_it_learning.md and their figures: a tiny random model through verl's real SFT and RL trainers on a
# CPU, once per failure.
#
#   bash examples/monitoring/make_runs.sh                       all; half an hour or more on 2 cores
#   bash examples/monitoring/make_runs.sh invalid no_sft        some of: invalid invalid_deciding collapsed no_sft wrong_truth
#
# A run that is done is not repeated. OUT is where everything goes. Needs the environment of the quickstart (.venv).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

RUNS=("$@")
[ $# -gt 0 ] || RUNS=(invalid invalid_deciding collapsed no_sft wrong_truth)
cd "$root"
OUT="${OUT:-outputs/monitoring}"
mkdir -p "$OUT/logs"
OUT="$(cd "$OUT" && pwd)"
export PATH="$root/.venv/bin:$PATH"
export VERL_PLATFORM=cpu VLLM_CPU_KVCACHE_SPACE=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
export TOKENIZERS_PARALLELISM=false RAY_worker_niceness=0
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_DATASETS_OFFLINE=1

# The tiny model, taught both modes, as $OUT/models/sft.
train_sft() {
  [ ! -d "$OUT/models/sft" ] || return 0
  say "SFT"
  timeout 400 torchrun --standalone --nproc_per_node=1 -m verl.trainer.sft_trainer \
    --config-path pkg://personadual.config --config-name personadual_sft +platform=cpu_sft \
    model.path="$OUT/models/random" data.train_files="$OUT/data/sft.parquet" \
    data.train_batch_size=16 data.max_length=256 optim.lr=1e-2 \
    trainer.total_epochs=8 trainer.save_freq=after_each_epoch trainer.max_ckpt_to_keep=1 trainer.logger=[console] \
    trainer.default_local_dir="$OUT/sft" hydra.run.dir="$OUT/hydra/sft" > "$OUT/logs/sft.log" 2>&1 ||
    die "SFT failed, see $OUT/logs/sft.log"
  cp -r "$OUT/sft"/global_step_*/huggingface "$OUT/models/sft.part"
  mv "$OUT/models/sft.part" "$OUT/models/sft"
}

# train_rl NAME MODEL TRAIN VAL STEPS [overrides]: DualGRPO, logged to $OUT/runs/NAME/metrics.jsonl.
train_rl() {
  local name="$1" model="$2" train="$3" val="$4" steps="$5"; shift 5
  [ ! -f "$OUT/runs/$name/done" ] || return 0
  say "$name: $steps steps"
  rm -rf "$OUT/runs/$name"
  mkdir -p "$OUT/runs/$name"
  VERL_FILE_LOGGER_PATH="$OUT/runs/$name/metrics.jsonl" TENSORBOARD_DIR="$OUT/tensorboard/$name" \
    timeout 900 python -m verl.trainer.main_ppo \
    --config-path pkg://personadual.config --config-name dual_grpo_trainer +platform=cpu \
    actor_rollout_ref.model.path="$OUT/models/$model" \
    data.train_files="$OUT/data/$train.parquet" data.val_files="$OUT/data/$val.parquet" data.shuffle=False \
    data.train_batch_size=16 data.max_prompt_length=128 data.max_response_length=40 \
    actor_rollout_ref.actor.ppo_mini_batch_size=16 actor_rollout_ref.actor.entropy_coeff=0 \
    algorithm.dual_grpo.credit=decoupled algorithm.dual_grpo.prefix_scope=deciding \
    actor_rollout_ref.actor.optim.lr=5e-4 actor_rollout_ref.actor.optim.lr_warmup_steps_ratio=0 \
    actor_rollout_ref.rollout.n=4 actor_rollout_ref.rollout.temperature=1.0 \
    actor_rollout_ref.rollout.val_kwargs.do_sample=True actor_rollout_ref.rollout.val_kwargs.temperature=1.0 \
    trainer.total_training_steps="$steps" trainer.total_epochs=10 trainer.test_freq=4 trainer.save_freq=-1 \
    trainer.logger=[console,file,tensorboard] trainer.default_local_dir="$OUT/checkpoints/$name" \
    hydra.run.dir="$OUT/hydra/$name" "$@" > "$OUT/logs/$name.log" 2>&1 || die "$name failed, see $OUT/logs/$name.log"
  touch "$OUT/runs/$name/done"
}

make_run() {
  [ "$1" = no_sft ] || train_sft
  case "$1" in
    # Only the deciding token of the tags is trained on the gap between modes; the tags go all the same.
    invalid_deciding) train_rl invalid_deciding sft train val 20 ;;
    # 15 of 16 prompts have the same right mode, and nothing holds the model.
    collapsed)
      train_rl collapsed sft train_one_sided val 12 \
        actor_rollout_ref.actor.kl_loss_coef=0 actor_rollout_ref.actor.optim.lr=1e-3
      ;;
    no_sft) train_rl no_sft random train val 2 ;;
    # No answer of the model is the ground truth.
    wrong_truth) train_rl wrong_truth sft train_wrong_truth val_wrong_truth 4 ;;
    # The paper's credit, on every token of both tags, at a learning rate that is too high for it.
    invalid)
      train_rl invalid sft train val 24 actor_rollout_ref.actor.optim.lr=7e-4 \
        algorithm.dual_grpo.credit=shared algorithm.dual_grpo.prefix_scope=all
      ;;
    *) die "no run is called $1; there are invalid, invalid_deciding, collapsed, no_sft, wrong_truth" ;;
  esac
}

if [ ! -d "$OUT/models/random" ]; then
  python tests/tiny_model.py "$OUT/models/random.part"
  mv "$OUT/models/random.part" "$OUT/models/random"
fi
[ -f "$OUT/data/val_wrong_truth.parquet" ] || python examples/monitoring/make_data.py --out "$OUT/data"

for name in "${RUNS[@]}"; do
  make_run "$name"
  mkdir -p "$OUT/figures/$name"
  personadual plot "$OUT/runs/$name" --out "$OUT/figures/$name" | tee "$OUT/figures/$name/signs.txt"
done
