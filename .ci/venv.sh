# Sourced by quickstart.sh and test.sh from the root of the checkout.
# Makes .venv with the checkout installed in it; the system's own Python is left alone.

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$candidate"
      return
    elif [ -n "$candidate" ] && [ "$candidate" = "${PYTHON:-}" ]; then
      echo "PYTHON=$candidate is not a Python 3.11 or later" >&2
      return 1
    fi
  done
  echo "cosim needs Python 3.11 or later; install one, or name it: PYTHON=/path/to/python3.11 $0" >&2
  return 1
}

make_venv() {
  if [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1; then
    return
  fi
  local python
  python="$(find_python)"
  echo "creating .venv with $("$python" --version) ..."
  if ! "$python" -m venv --clear .venv; then
    echo "$python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2
    return 1
  fi
}

# ensure_installed [EXTRA]: installs when pyproject.toml changed since the last time, else returns at once.
ensure_installed() {
  local extra="${1:-}" stamp state
  make_venv
  stamp=".venv/.installed-${extra:-core}"
  state="$(cksum <pyproject.toml) $PWD"
  if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
    return
  fi
  echo "installing cosim and what it needs into .venv (some minutes the first time) ..."
  .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check -e ".${extra:+[$extra]}"
  echo "$state" >"$stamp"
}
