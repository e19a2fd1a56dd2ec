# The cells of the experiment and which is next; sourced by run_experiment_cpu.sh, with OUT, STEPS, CELLS and root set.

# name_of ARM SEED [STEPS]: of a cell's model and files.
name_of() { echo "$1_s$2${3:+_$3}"; }

# listed: ARM SEED [STEPS] of every cell of the list.
listed() { grep -v -e '^#' -e '^$' "$CELLS"; }

# work_of ARM [STEPS]: how long a cell takes, in RL steps; the start of a run and the evaluation take about ten.
work_of() {
  case "$1" in
    base) echo 5 ;;
    sft) echo 25 ;;
    sft_twice) echo 45 ;;
    *) echo $((${2:-$STEPS} + 10)) ;;
  esac
}

# queue: the cells of the list that are not done, in order, with what is left by the time that done ones took.
queue() {
  local arm seed steps name part done all next worked spent left
  while true; do
    done=0 all=0 worked=0 spent=0 left=0 next=""
    while read -r arm seed steps; do
      all=$((all + 1))
      name="$(name_of "$arm" "$seed" ${steps:+"$steps"})"
      if [ ! -f "$OUT/stages/val_$name" ]; then
        next="${next:-$arm $seed${steps:+ $steps}}"
        left=$((left + $(work_of "$arm" $steps)))
        continue
      fi
      done=$((done + 1))
      # A restored cell has its training's seconds in a file of their own, as its model is not there.
      for part in "$name" "$name.seconds"; do
        if [ -f "$OUT/stages/$part" ]; then
          spent=$((spent + $(cat "$OUT/stages/val_$name") + $(cat "$OUT/stages/$part")))
          worked=$((worked + $(work_of "$arm" $steps)))
          break
        fi
      done
    done < <(listed)
    [ -n "$next" ] || { say "all $all cells are done"; return; }
    say "$done of $all cells done$([ "$worked" = 0 ] || echo ", about $((spent * left / worked / 60)) minutes left"); next: $next"
    # A cell of its own process, so that its failure is seen here and nothing of it stays.
    # shellcheck disable=SC2086
    bash "$root/examples/run_experiment_cpu.sh" $next || die "the cell $next failed; the same command tries it again"
  done
}
