# Training on a machine without a GPU, shared by run_quickstart_cpu.sh and run_experiment_cpu.sh; source it after common.sh
# and with OUT set to an absolute folder. What is read: SEED, DTYPE.

# Compute in bf16 where the processor has instructions for it (several times faster); master weights are fp32.
if grep -qE 'amx_bf16|avx512_bf16' /proc/cpuinfo; then DTYPE="${DTYPE:-bfloat16}"; else DTYPE="${DTYPE:-float32}"; fi

# Huge pages for torch's tensors, where the kernel gives them on request.
export THP_MEM_ALLOC_ENABLE=1
export TOKENIZERS_PARALLELISM=false
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_DATASETS_OFFLINE=1
export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}"
# Ray gives its workers the lowest priority but four; any other program would then hold every step up.
export RAY_worker_niceness="${RAY_worker_niceness:-0}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
# vLLM would keep one core free for its scheduler, which hardly works here: half of two cores.
export VLLM_CPU_OMP_THREADS_BIND="${VLLM_CPU_OMP_THREADS_BIND:-nobind}"

# stage NAME EXPECTED COMMAND...: runs it once in OUT, with its seconds kept for the report.
stage() {
  local name="$1" expected="$2" start; shift 2
  if [ -f "$OUT/stages/$name" ]; then say "$name: done before"; return; fi
  say "$name: about $expected"
  start=$SECONDS
  "$@"
  mkdir -p "$(dirname "$OUT/stages/$name")"
  echo "$((SECONDS - start))" > "$OUT/stages/$name.part"
  mv "$OUT/stages/$name.part" "$OUT/stages/$name"
  say "$name: took $((SECONDS - start)) s"
}

# export_model FROM TO: verl writes the trained model in Hugging Face's format beside its checkpoint (hf_model).
export_model() {
  [ $# = 2 ] || die "export_model: FROM and TO are needed, found: $*"
  [ -f "$1/config.json" ] || die "no exported model in $1"
  rm -rf "$2" "$2.part"
  mkdir -p "$(dirname "$2")"
  cp -r "$1" "$2.part"
  mv "$2.part" "$2"
}

# train_sft MODEL DATA FOLDER [overrides]: verl's SFT trainer; the model is exported after every epoch. A run that was
# stopped starts over: only the export is kept of an epoch, and verl would go on from it without loading its weights.
train_sft() {
  local model="$1" data="$2" folder="$3"; shift 3
  rm -rf "$folder"/global_step_* "$folder/latest_checkpointed_iteration.txt"
  VERL_PLATFORM=cpu torchrun --standalone --nproc_per_node=1 -m verl.trainer.sft_trainer \
    --config-path pkg://personadual.config --config-name personadual_sft +platform=cpu_sft \
    model.path="$(value "$model")" \
    model.enable_gradient_checkpointing=False \
    engine.mixed_precision.param_dtype="$DTYPE" \
    data.train_files="$(value "$data")" \
    data.train_batch_size=16 \
    data.max_length=160 \
    data.max_token_len_per_gpu=2048 \
    checkpoint.save_contents=[hf_model] \
    trainer.seed="$SEED" \
    trainer.save_freq=after_each_epoch \
    trainer.logger=[console] \
    trainer.default_local_dir="$(value "$folder")" \
    hydra.run.dir="$(value "$folder/hydra")" \
    "$@"
}

# train_rl MODEL TRAIN VAL FOLDER PROMPTS ROLLOUTS [overrides]: verl's RL trainer with our modes; resumes from FOLDER.
# One metrics file per attempt, because verl's file logger starts its file anew.
train_rl() {
  local model="$1" train="$2" val="$3" folder="$4" prompts="$5" rollouts="$6"; shift 6
  mkdir -p "$folder/metrics"
  VERL_PLATFORM=cpu VERL_FILE_LOGGER_PATH="$folder/metrics/$(date +%s).jsonl" \
    python -m verl.trainer.main_ppo \
    --config-path pkg://personadual.config --config-name dual_grpo_trainer +platform=cpu \
    actor_rollout_ref.model.path="$(value "$model")" \
    actor_rollout_ref.model.enable_gradient_checkpointing=False \
    actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype="$DTYPE" \
    data.train_files="$(value "$train")" \
    data.val_files="$(value "$val")" \
    data.shuffle=False \
    data.seed="$SEED" \
    data.train_batch_size="$prompts" \
    data.max_prompt_length=96 \
    data.max_response_length=40 \
    actor_rollout_ref.actor.ppo_mini_batch_size="$prompts" \
    actor_rollout_ref.actor.entropy_coeff=0 \
    actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model] \
    actor_rollout_ref.rollout.dtype="$DTYPE" \
    actor_rollout_ref.rollout.n="$rollouts" \
    actor_rollout_ref.rollout.temperature=1.0 \
    actor_rollout_ref.rollout.max_model_len=160 \
    trainer.max_actor_ckpt_to_keep=1 \
    trainer.test_freq=-1 \
    trainer.val_before_train=False \
    trainer.logger=[console,file] \
    trainer.default_local_dir="$(value "$folder")" \
    trainer.rollout_data_dir="$(value "$folder/rollouts")" \
    hydra.run.dir="$(value "$folder/hydra")" \
    "$@"
}
