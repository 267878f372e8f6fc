# Sourced by the acceptance scripts, not run by itself: run_task SCRIPT [ARGUMENT…] never returns.
#
# Exit codes: 0 PASS · 1 FAIL · 2 wrong usage · 3 BLOCKED · 4 INCONCLUSIVE or VACUOUS · 5 ERROR or ABORTED · 130 Ctrl-C.
# Environment: EH_ACCEPTANCE_SUITE   another folder with test_<task>.py (default: suites/acceptance)
#              EH_ACCEPTANCE_PYTHON  another Python with the project's libraries (default: .venv, made when it is missing)
# shellcheck shell=bash

PROJECT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)"

# Sets PYTHON; ends the script with 5 when set-up fails.
find_python() {
  PYTHON="${EH_ACCEPTANCE_PYTHON:-$PROJECT/.venv/bin/python}"
  if [[ -z "${EH_ACCEPTANCE_PYTHON:-}" && ! -x "$PYTHON" ]]; then
    local code=0
    (cd -- "$PROJECT" && python3 -m scripts.setup) >&2 || code=$?
    if [[ $code -ne 0 ]]; then
      printf 'ERROR: set-up ended with exit code %s; the remedy stands above\n' "$code"
      exit 5
    fi
  fi
}

run_task() {
  local task code=0
  task="$(basename -- "$1" .sh)"
  shift
  find_python
  # "|| code=$?": in strict mode a failing test would end the script before its last line.
  (cd -- "$PROJECT" && exec "$PYTHON" -m scripts.acceptance_task "$task" --suite "${EH_ACCEPTANCE_SUITE:-$PROJECT/suites/acceptance}" "$@") || code=$?
  case "$code" in
    0 | 1 | 2 | 3 | 4 | 5 | 130) exit "$code" ;;
    *)
      printf 'ERROR: %s: the test process ended with exit code %s\n' "$task" "$code"
      exit 5
      ;;
  esac
}
