#!/usr/bin/env bash
# Every check in one command: install into .venv with the dev extra, then lint, types, layers, tests.
# All steps run even where one fails; the exit code is 0 only where none did.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. .ci/venv.sh

unset PYTHONDONTWRITEBYTECODE # the tests start hundreds of processes; each would compile all of cosim's sources

failed=()

step() {
  local name="$1" started=$SECONDS
  shift
  echo
  echo "== $name"
  if "$@"; then
    echo "-- $name: ok ($((SECONDS - started)) s)"
  else
    echo "-- $name: FAILED ($((SECONDS - started)) s)"
    failed+=("$name")
  fi
}

# The tests go on with the cache that this fills.
cold_compile() {
  .venv/bin/python -m cosim.engine.warmup
}

# Whether pytest came to its end: a test that ends the process would pass for success.
whole() {
  local end status=0
  end="$(mktemp -u)"
  COSIM_TESTS_END="$end" "$@" || status=$?
  if [ "$status" = 0 ] && [ ! -e "$end" ]; then
    echo "pytest ended before its last test"
    status=1
  fi
  rm -f "$end"
  return "$status"
}

# Beside all that follows.
start_twins() {
  twins_log="$scratch/twins.log"
  twins_without_jit >"$twins_log" 2>&1 &
  twins=$!
}

end_twins() {
  local status=0
  wait "$twins" || status=$?
  cat "$twins_log"
  return "$status"
}

twins_without_jit() {
  NUMBA_DISABLE_JIT=1 whole .venv/bin/python -m coverage run -m pytest -m twin || return
  .venv/bin/python -m coverage report --include="cosim/*/kernel*.py,cosim/engine/advance.py,cosim/ring.py"
}

# Files of tests side by side, the first ones first: they take longest.
tests() {
  local cores
  cores="$(nproc 2>/dev/null || echo 2)"
  whole .venv/bin/python -m pytest -n "$((cores < 4 ? cores : 4))" --dist loadfile --no-loadscope-reorder --durations=10 "$@"
}

ensure_installed dev
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
export COSIM_CACHE_DIR="$scratch/cache"
step "lint (ruff)" .venv/bin/ruff check
step "types (mypy)" .venv/bin/mypy
step "layers (import-linter)" .venv/bin/lint-imports --no-logo
step "cold compilation of the kernels" cold_compile
start_twins
step "tests (pytest)" tests "$@"
step "kernels' twins without JIT, with coverage" end_twins

echo
if [ "${#failed[@]}" -gt 0 ]; then
  printf 'failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "all checks passed in $SECONDS s"
