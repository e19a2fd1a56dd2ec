# What each arm of run_experiment_cpu.sh changes in the configuration; sourced by it, with OUT and STEPS set.

lines() { printf '%s\n' "$@"; }

# overrides ARM: what an arm changes in the configuration, a line each; all else is alike.
overrides() {
  local dual=algorithm.dual_grpo
  case "$1" in
    grpo_free | grpo_forced | general_only | personalized_only | dual_grpo | dual_grpo_decoupled | recommended)
      lines "+arm=$1"
      ;;
    alpha_1) lines +arm=dual_grpo $dual.prefix_weight=1 ;;
    alpha_4) lines +arm=dual_grpo $dual.prefix_weight=4 ;;
    inter_half) lines +arm=dual_grpo $dual.inter_coef=0.5 ;;
    inter_2) lines +arm=dual_grpo $dual.inter_coef=2 ;;
    unclipped_kl) lines +arm=dual_grpo actor_rollout_ref.actor.kl_loss_type=low_var_kl+ ;;
    no_kl) lines +arm=dual_grpo actor_rollout_ref.actor.use_kl_loss=False ;;
    deciding) lines +arm=dual_grpo $dual.prefix_scope=deciding ;;
    free_quarter) lines +arm=dual_grpo $dual.free_share=0.25 ;;
    floor) lines +arm=dual_grpo $dual.prob_floor=0.05 ;;
    importance) lines +arm=dual_grpo $dual.prefix_importance=1 ;;
    centred) lines +arm=dual_grpo $dual.gap_centering=1 ;;
    centred_early) lines +arm=dual_grpo $dual.gap_centering=1 $dual.gap_centering_steps=$((STEPS / 6)) ;;
    taper) lines +arm=dual_grpo $dual.prefix_taper=1 ;;
    specialised) lines +arm=dual_grpo $dual.losing_intra_coef=0 ;;
    # Again for their first steps, which the first ones' checkpoints are past.
    grpo_free_again | recommended_again) lines "+arm=${1%_again}" ;;
    # What is recommended, less one of its settings.
    without_decoupled) lines +arm=recommended $dual.credit=shared ;;
    without_deciding) lines +arm=recommended $dual.prefix_scope=all ;;
    without_weight) lines +arm=recommended $dual.prefix_weight=2 ;;
    without_taper) lines +arm=recommended $dual.prefix_taper=0 ;;
    without_specialised) lines +arm=recommended $dual.losing_intra_coef=1 ;;
    without_anchor) lines +arm=recommended $dual.prefix_anchor=0 ;;
    # The right mode of a training prompt drawn for its wording: what a model learns by heart, without the persona.
    control) lines +arm=recommended "data.train_files=$(value "$OUT/data_control/rl_train.parquet")" ;;
    # Batches without balance, ARM after the underscore.
    unbalanced_*)
      overrides "${1#unbalanced_}"
      lines "data.train_files=$(value "$OUT/data_unbalanced/rl_train.parquet")"
      ;;
    *) die "no arm is called $1; see examples/experiment/arms.sh" ;;
  esac
}
