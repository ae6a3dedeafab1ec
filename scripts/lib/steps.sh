# Sourced by scripts/test and scripts/check: runs named steps, prints the time of each, counts.
#
# run_step NAME   calls the function step_NAME in a subshell; its output is shown as it comes
# skip WHY        ends the step that calls it as skipped, and says why
# summary         prints the line "N passed, N failed[, N skipped]"; 1 when something failed
#
# A step counts as one, but one whose output has a test runner's totals counts as its tests.

SKIPPED_CODE=77
PASSED=0
FAILED=0
SKIPPED=0
STEP_LINES=()

skip() {
  printf 'SKIPPED: %s\n' "$*"
  exit "$SKIPPED_CODE"
}

# The totals of the runners in file $1, as "passed failed skipped"; nothing where there are none.
totals() {
  awk '
    # cargo test: "test result: ok. 12 passed; 0 failed; 1 ignored; ..."
    /^test result: / {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) passed += $i
        if ($(i + 1) ~ /^failed/) failed += $i
        if ($(i + 1) ~ /^ignored/) skipped += $i
      }
      seen = 1
    }
    # cargo nextest: "Summary [ 1.2s] 12 tests run: 11 passed, 1 failed, 1 skipped"
    /^ *Summary \[/ {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) passed += $i
        if ($(i + 1) ~ /^(failed|timed)/) failed += $i
        if ($(i + 1) ~ /^skipped/) skipped += $i
      }
      seen = 1
    }
    END { if (seen) print passed + 0, failed + 0, skipped + 0 }' "$1"
}

run_step() {
  local name=$1 log code start seconds passed failed skipped
  log=$(mktemp)
  start=$(date +%s)
  printf '\n== %s\n' "$name"
  # The step is not part of a condition, so that "set -e" holds inside of it.
  set +e
  (
    set -e
    "step_$name"
  ) 2>&1 | tee "$log"
  code=${PIPESTATUS[0]}
  set -e
  seconds=$(($(date +%s) - start))
  read -r passed failed skipped <<<"$(totals "$log")" || true
  if [ "$code" = "$SKIPPED_CODE" ]; then
    SKIPPED=$((SKIPPED + 1))
    STEP_LINES+=("$(printf '%-12s %5d s  skipped: %s' "$name" "$seconds" \
      "$(sed -n 's/^SKIPPED: //p' "$log" | tail -n 1)")")
  else
    if [ -z "$passed" ]; then
      passed=1 failed=0 skipped=0
      if [ "$code" != 0 ]; then passed=0 failed=1; fi
    elif [ "$code" != 0 ] && [ "$failed" = 0 ]; then
      # It failed beside its tests: a build error in a later target, for example.
      failed=1
    fi
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    SKIPPED=$((SKIPPED + skipped))
    STEP_LINES+=("$(printf '%-12s %5d s  %d passed, %d failed' "$name" "$seconds" "$passed" "$failed")")
  fi
  rm -f "$log"
}

summary() {
  printf '\n'
  printf '%s\n' "${STEP_LINES[@]}"
  printf '\n%d passed, %d failed' "$PASSED" "$FAILED"
  if [ "$SKIPPED" != 0 ]; then printf ', %d skipped' "$SKIPPED"; fi
  printf '\n'
  [ "$FAILED" = 0 ]
}

# === the steps that scripts/test and scripts/check share ===

step_fmt() {
  cargo fmt --all --check
}

step_clippy() {
  cargo clippy --workspace --all-targets --locked -- -D warnings
  # "All" leaves out what is not run by default.
  cargo clippy --package station-tests --test boot --locked -- -D warnings
}
