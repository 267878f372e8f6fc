#!/usr/bin/env bash
# 103 Fraud Detection: exit code 0 PASS, 1 FAIL, 3 BLOCKED (scripts/acceptance/common.sh has them all).
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
run_task "${BASH_SOURCE[0]}" "$@"
