# Shared by the launchers; source it after `set -euo pipefail`. docs/launchers.md lists every variable that is read.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() { printf '\n[%(%H:%M:%S)T] %s\n' -1 "$*"; }

die() { echo "$*" >&2; exit 1; }

# value TEXT: TEXT as a hydra value, whatever characters it holds. A list, [a,b], stays one.
value() {
  local quote="'"
  case "$1" in
    \[*\]) printf '%s' "$1" ;;
    *) printf "'%s'" "${1//$quote/\\$quote}" ;;
  esac
}

# Where runs are kept: one folder per run, absolute, because Ray's workers need not share this shell's folder.
absolute() { case "$1" in /*) printf '%s' "$1" ;; *) printf '%s' "$PWD/$1" ;; esac; }
CHECKPOINTS="$(absolute "${CHECKPOINTS:-checkpoints/personadual}")"

# newest_step FOLDER: the last finished checkpoint of the run in FOLDER; global_step_N before there is one.
newest_step() {
  local step=N tracker="$1/latest_checkpointed_iteration.txt"
  if [ -f "$tracker" ]; then step="$(cat "$tracker")"; fi
  printf '%s' "$1/global_step_$step"
}

# newest_export RUN: the model that the SFT run RUN exported last, where its launcher left it.
newest_export() { printf '%s' "$(newest_step "$CHECKPOINTS/$1")/huggingface"; }

# Neither vLLM nor Ray reports its use, nor does `datasets` count its loads, unless you ask for that.
export VLLM_NO_USAGE_STATS="${VLLM_NO_USAGE_STATS:-1}" RAY_USAGE_STATS_ENABLED="${RAY_USAGE_STATS_ENABLED:-0}"
export HF_UPDATE_DOWNLOAD_COUNTS="${HF_UPDATE_DOWNLOAD_COUNTS:-0}"

# thinking: whether a template that can think is to do so. Only the think-style arm does.
thinking() { if [ "${ARM:-}" = think ]; then echo True; else echo False; fi; }

# name_run RUN: NAME and OUT, RUN's by default. A run resumes from OUT, so what differs must have another NAME.
name_run() {
  NAME="${NAME:-$1}"
  OUT="$(absolute "${OUT:-$CHECKPOINTS/$NAME}")"
  NNODES="${NNODES:-1}"
  # Logs beside the checkpoints, where `personadual plot` and `export` look. verl's file logger starts its file anew, so
  # every attempt has one of its own.
  LOGGERS="${LOGGERS:-tensorboard,file}"
  export TENSORBOARD_DIR="${TENSORBOARD_DIR:-$OUT/tensorboard}"
  export VERL_FILE_LOGGER_PATH="${VERL_FILE_LOGGER_PATH:-$OUT/metrics/$(date +%s).jsonl}"
  if [ "${DRY_RUN:-0}" != 1 ]; then mkdir -p "$(dirname "$VERL_FILE_LOGGER_PATH")"; fi
}

doctor() { python -m personadual.cli doctor --config "$@"; }

# launch_sft RUN ARGS...: verl's SFT trainer on MODEL and TRAIN.
launch_sft() {
  name_run "$1"; shift
  GPUS="${GPUS:-8}"
  local args=(
    model.path="$(value "$MODEL")"
    data.train_files="$(value "${TRAIN:-data/sft_train.parquet}")"
    # The prompts of RL token for token, and every row's tag checked.
    data.custom_cls.path=pkg://personadual.sft
    data.custom_cls.name=PromptResponseDataset
    trainer.nnodes="$NNODES"
    trainer.n_gpus_per_node="$GPUS"
    trainer.experiment_name="$(value "$NAME")"
    trainer.default_local_dir="$(value "$OUT")"
    trainer.max_ckpt_to_keep="${KEEP:-2}"
    trainer.logger="[console,$LOGGERS]"
    hydra.run.dir="$(value "$OUT/hydra")"
  )
  if [ -n "${VAL:-}" ]; then args+=(data.val_files="$(value "$VAL")"); fi
  args+=("$@")

  if [ "${DRY_RUN:-0}" = 1 ]; then doctor personadual_sft --dry-run --print -- "${args[@]}"; return; fi
  local nodes=(--standalone)
  if [ "$NNODES" -gt 1 ]; then
    [ -n "${MASTER_ADDR:-}" ] && [ -n "${NODE_RANK:-}" ] ||
      die "NNODES=$NNODES: start this on every node, with MASTER_ADDR=<the first node> and NODE_RANK=0 to $((NNODES - 1))"
    nodes=(--nnodes="$NNODES" --node-rank="$NODE_RANK" --master-addr="$MASTER_ADDR" --master-port="${MASTER_PORT:-29500}")
  fi
  if [ "${PREFLIGHT:-1}" = 1 ]; then doctor personadual_sft -- "${args[@]}"; fi
  torchrun "${nodes[@]}" --nproc-per-node="$GPUS" -m verl.trainer.sft_trainer \
    --config-path pkg://personadual.config --config-name personadual_sft "${args[@]}"
}

# launch_dualgrpo RUN ARGS...: verl's RL trainer on MODEL, TRAIN and VAL, by the arm ARM and the trainer TRAINER.
launch_dualgrpo() {
  ARM="${ARM:-dual_grpo}"
  TRAINER="${TRAINER:-dual_grpo_sync}"
  local run="$1" check=(); shift
  if [ "$ARM" != dual_grpo ]; then run+="_$ARM"; fi
  if [ "$TRAINER" != dual_grpo_sync ]; then run+="_${TRAINER#dual_grpo_}"; fi
  name_run "$run"
  local args=(
    +arm="$ARM"
    actor_rollout_ref.model.path="$(value "$MODEL")"
    data.train_files="$(value "${TRAIN:-data/rl_train.parquet}")"
    data.val_files="$(value "${VAL:-data/rl_val.parquet}")"
    actor_rollout_ref.rollout.tensor_model_parallel_size="${TP:-4}"
    actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]
    trainer.v1.trainer_mode="$TRAINER"
    trainer.nnodes="$NNODES"
    trainer.experiment_name="$(value "$NAME")"
    trainer.default_local_dir="$(value "$OUT")"
    trainer.max_actor_ckpt_to_keep="${KEEP:-3}"
    trainer.logger="[console,$LOGGERS]"
    hydra.run.dir="$(value "$OUT/hydra")"
  )
  if [ "$TRAINER" = dual_grpo_separate_async ]; then
    # Half of an 8-GPU node trains, the other half generates; verl moves the weights between them by NCCL.
    GPUS="${GPUS:-4}"
    args+=(
      actor_rollout_ref.rollout.nnodes="${ROLLOUT_NNODES:-$NNODES}"
      actor_rollout_ref.rollout.n_gpus_per_node="${ROLLOUT_GPUS:-$GPUS}"
      actor_rollout_ref.rollout.checkpoint_engine.backend=nccl
      # verl asks for train_batch_size = parameter_sync_step x ppo_mini_batch_size; the paper's are 64 and 64.
      trainer.v1.separate_async.parameter_sync_step=1
    )
  fi
  args+=(trainer.n_gpus_per_node="${GPUS:-8}")
  if [ -n "${RAY_ADDRESS:-}" ]; then
    case "$RAY_ADDRESS" in http*)
      die "RAY_ADDRESS=$RAY_ADDRESS is the dashboard's; give the cluster's own, auto or HOST:6379" ;;
    esac
    args+=(+ray_kwargs.ray_init.address="$(value "$RAY_ADDRESS")")
    # Workers of a cluster that runs already have its environment, not this one's. Ray refuses to be told again what
    # `ray job submit` has set.
    local name
    for name in VLLM_NO_USAGE_STATS HF_UPDATE_DOWNLOAD_COUNTS; do
      case "${RAY_JOB_CONFIG_JSON_ENV_VAR:-}" in
        *"$name"*) ;;
        *) args+=(++ray_kwargs.ray_init.runtime_env.env_vars.$name="$(value "${!name}")") ;;
      esac
    done
    check+=(--ray-address "$RAY_ADDRESS")
  fi
  args+=("$@")

  if [ "${DRY_RUN:-0}" = 1 ]; then doctor dual_grpo_trainer --dry-run --print -- "${args[@]}"; return; fi
  if [ "$NNODES" -gt 1 ] && [ -z "${RAY_ADDRESS:-}" ]; then
    die "NNODES=$NNODES needs a Ray cluster: \`ray start --head\` on one node, \`ray start --address=HOST:6379\` on the others,
then RAY_ADDRESS=auto (on one of them) or HOST:6379. docs/launchers.md has it step by step."
  fi
  if [ "${PROBE:-8}" != 0 ]; then check+=(--probe "${PROBE:-8}"); fi
  if [ "${PREFLIGHT:-1}" = 1 ]; then doctor dual_grpo_trainer "${check[@]}" -- "${args[@]}"; fi
  exec python -m verl.trainer.main_ppo \
    --config-path pkg://personadual.config --config-name dual_grpo_trainer "${args[@]}"
}
