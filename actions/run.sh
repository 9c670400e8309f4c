#!/usr/bin/env bash
# Runs anka-ci on a runner: run.sh COMMAND [OPTION…]. Finds a Python; the rest is install.py, which makes a virtual
# environment of this checkout once and starts the command in it.
#
#   ANKA_CI_PYTHON      the Python to use (a path, or a name on PATH)
#   ANKA_CI_WHEELHOUSE  a folder of wheels to install from, without a network
#   ANKA_CI_VENV        a virtual environment that holds anka-ci; nothing is installed
set -euo pipefail
exec 2>&1 # one stream, so that the runner reads results, progress and workflow commands in their order

here=${BASH_SOURCE[0]%/*}
here=$(cd "$here" && pwd)
set -- "$@" --report actions
if [ "${RUNNER_DEBUG:-}" = 1 ]; then set -- "$@" --verbose; fi

if [ -n "${ANKA_CI_VENV:-}" ]; then exec "$ANKA_CI_VENV/bin/python" -Im anka_ci.cli "$@"; fi

# A Python is good when it is 3.10 or newer and can make virtual environments (Debian ships ensurepip apart from it).
good() { "$1" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }

# Without its command line tools, macOS answers /usr/bin/python3 with a dialogue that nobody on a runner clicks.
stub() {
  case "$1:$OSTYPE" in
    /usr/bin/python3*:darwin*) ! xcode-select -p >/dev/null 2>&1 ;;
    *) false ;;
  esac
}

fail() {
  printf '::error title=anka-ci found no Python::%s\n' "$1"
  printf '%s\n' "anka-ci: $1" "  macOS: brew install python@3.12    Debian, Ubuntu: apt-get install python3-venv"
  printf '%s\n' "  or: actions/setup-python before this step, or ANKA_CI_PYTHON, or uv on PATH"
  exit 2
}

find_python() {
  local name place
  for name in python3.13 python3.12 python3.11 python3.14 python3.10 python3; do
    for place in "$(type -P "$name" || true)" "/opt/homebrew/bin/$name" "/usr/local/bin/$name" "${HOME:-/}/.local/bin/$name"; do
      if [ -x "$place" ] && ! stub "$place" && good "$place"; then
        printf '%s\n' "$place"
        return
      fi
    done
  done
  if type -P uv >/dev/null; then
    uv python find --system '>=3.10' 2>/dev/null && return
    uv python install --quiet 3.12 >/dev/null 2>&1 && uv python find --system 3.12 2>/dev/null && return
  fi
  return 1
}

if [ -n "${ANKA_CI_PYTHON:-}" ]; then
  python=$(type -P "$ANKA_CI_PYTHON" || true)
  if [ -z "$python" ] || ! good "$python"; then
    fail "ANKA_CI_PYTHON names no Python 3.10 or newer with the modules venv and ensurepip: $ANKA_CI_PYTHON"
  fi
else
  python=$(find_python) || fail "no Python 3.10 or newer with the modules venv and ensurepip was found"
fi
exec "$python" -I "$here/anka_ci_actions/install.py" "$@"
