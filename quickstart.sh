#!/usr/bin/env bash
# The main job in one command: install into .venv, simulate, print the numbers, draw the page.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. .ci/venv.sh

ensure_installed
.venv/bin/cosim run quickstart -o quickstart.h5
.venv/bin/cosim show quickstart.h5
.venv/bin/cosim report quickstart.h5 -o quickstart.html
echo
echo "Open $PWD/quickstart.html in a browser."
