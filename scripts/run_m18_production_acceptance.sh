#!/usr/bin/env bash
# Runs the acceptance tasks 101–115, or those of one phase, one line each.
# Exit code: that of the worst task, in this order: FAIL 1, ERROR 5, INCONCLUSIVE or VACUOUS 4, BLOCKED 3, PASS 0.
set -euo pipefail

HERE="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)"
. "$HERE/acceptance/common.sh"

usage() {
  cat <<'TEXT'
Usage: run_m18_production_acceptance.sh [--phase 1..5] [--help]

Runs the production readiness tasks and prints one line each.
  --phase 1   101–103 workflows          --phase 4   110–112 objectives
  --phase 2   104–106 chaos              --phase 5   113–115 compatibility
  --phase 3   107–109 operations

Exit code: the worst of the tasks (FAIL 1, then ERROR 5, INCONCLUSIVE or VACUOUS 4, BLOCKED 3, PASS 0);
2 for wrong usage, 130 when interrupted.
TEXT
}

wrong() {
  printf 'run_m18_production_acceptance.sh: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

phase=""
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --phase) [[ $# -ge 2 ]] || wrong "--phase needs a number from 1 to 5"; phase="$2"; shift 2 ;;
    --phase=*) phase="${1#--phase=}"; shift ;;
    *) wrong "unknown argument '$1'" ;;
  esac
  [[ -z "$phase" || "$phase" =~ ^[1-5]$ ]] || wrong "--phase takes a number from 1 to 5, not '$phase'"
done

first=101 last=115
if [[ -n "$phase" ]]; then
  first=$((98 + 3 * phase)) last=$((100 + 3 * phase))
fi

find_python # set up once, before the first task
export EH_ACCEPTANCE_PYTHON="$PYTHON"
log="$(mktemp "${TMPDIR:-/tmp}/acceptance.XXXXXX")"
trap 'rm -f -- "$log"' EXIT
trap 'printf "ABORTED: interrupted\n"; exit 130' INT TERM

passed=0 failed=0 errors=0 doubtful=0 blocked=0 total=0 began=$SECONDS
for script in "$HERE"/acceptance/1[01][0-9]_*.sh; do
  number="$(basename -- "$script")"
  number="${number%%_*}"
  [[ "$number" -ge "$first" && "$number" -le "$last" ]] || continue
  code=0 start=$SECONDS
  bash "$script" >"$log" 2>&1 || code=$?
  line="$(tail -n 1 -- "$log")"
  total=$((total + 1))
  case "$code" in
    0) passed=$((passed + 1)) ;;
    1) failed=$((failed + 1)) ;;
    3) blocked=$((blocked + 1)) ;;
    4) doubtful=$((doubtful + 1)) ;;
    130) printf '%s\n' "$line"; exit 130 ;;
    *) errors=$((errors + 1)) ;;
  esac
  printf '%s  (%s s)\n' "$line" "$((SECONDS - start))"
  case "$code" in 0 | 3) ;; *) sed 's/^/    /' -- "$log" >&2 ;; esac
done

if [[ $total -eq 0 ]]; then
  printf 'VACUOUS: no task was found\n'
  exit 4
fi
verdict="PASS" code=0
if [[ $failed -gt 0 ]]; then verdict="FAIL" code=1
elif [[ $errors -gt 0 ]]; then verdict="ERROR" code=5
elif [[ $doubtful -gt 0 ]]; then verdict="INCONCLUSIVE" code=4
elif [[ $blocked -gt 0 ]]; then verdict="BLOCKED" code=3
fi
printf '%s: %s of %s passed, %s failed, %s errors, %s inconclusive, %s blocked  (%s s)\n' \
  "$verdict" "$passed" "$total" "$failed" "$errors" "$doubtful" "$blocked" "$((SECONDS - began))"
exit "$code"
