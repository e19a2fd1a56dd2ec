# Shared by the launchers; source it after `set -euo pipefail`.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() { printf '\n[%(%H:%M:%S)T] %s\n' -1 "$*"; }

die() { echo "$*" >&2; exit 1; }

# run_or_check_ppo CONFIG_NAME ARGS...: trains; with DRY_RUN=1 composes, checks and prints the configuration instead.
run_or_check_ppo() {
  local config="$1"; shift
  if [ "${DRY_RUN:-0}" = 1 ]; then
    personadual check --print --config-only --config-name "$config" -- "$@"
  else
    python -m verl.trainer.main_ppo --config-path pkg://personadual.config --config-name "$config" "$@"
  fi
}
