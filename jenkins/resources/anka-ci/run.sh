# shellcheck shell=sh
# What `sh` runs on the agent for every variable: find the anka-ci of the library's version, or have it installed, and
# become it. The text is always the same; every value comes from the environment.
#
#   ANKA_CI_VERSION    the version of the library, which is the only one that will do
#   ANKA_CI_STEP       the command; ANKA_CI_INPUTS or ANKA_CI_INPUTS_FILE, and ANKA_CI_OUTPUTS belong to it
#   ANKA_CI_INSTALLER  install.py, beside this file in the library
#   ANKA_CI_VENV       a virtual environment to take it from; nothing is looked for or installed then
#   ANKA_CI_SOURCE     what pip is to install: a requirement, a URL, a checkout, or a folder of wheels
{ set +x; } 2>/dev/null
set -eu
mkdir -p "${ANKA_CI_OUTPUTS%/*}"
say() { printf '%s\n' "$@" >&2; }
version() { "$1" --version 2>/dev/null || true; }

if [ -n "${ANKA_CI_VENV:-}" ]; then
  anka_ci=$ANKA_CI_VENV/bin/anka-ci
  if [ ! -x "$anka_ci" ]; then
    say "anka-ci: ANKA_CI_VENV is $ANKA_CI_VENV, and there is no bin/anka-ci in it." \
      "  Install anka-ci there, or unset ANKA_CI_VENV to have it installed."
    exit 127
  fi
  found=$(version "$anka_ci")
  if [ "$found" != "anka-ci $ANKA_CI_VERSION" ]; then
    say "anka-ci: $anka_ci is ${found:-broken}, and the library is of version $ANKA_CI_VERSION." \
      "  Install that version there, load the library of the other version, or unset ANKA_CI_VENV."
    exit 2
  fi
  exec "$anka_ci" "$ANKA_CI_STEP" --report jenkins
fi

# One environment for each version, source and kind of machine: home folders are shared between agents.
ANKA_CI_SOURCE=${ANKA_CI_SOURCE:-anka-ci[signin]==$ANKA_CI_VERSION}
key=$(printf '%s\n' "$ANKA_CI_SOURCE" "$(uname -sm)" | cksum)
ANKA_CI_PLACE=${XDG_CACHE_HOME:-${HOME:-}/.cache}/anka-ci/jenkins/$ANKA_CI_VERSION-${key%% *}
touch "$ANKA_CI_PLACE/last-start" 2>/dev/null || true # in use, so no install of another version removes it
if [ -x "$ANKA_CI_PLACE/bin/python" ] && [ -x "$ANKA_CI_PLACE/bin/anka-ci" ]; then
  exec "$ANKA_CI_PLACE/bin/anka-ci" "$ANKA_CI_STEP" --report jenkins
fi

for place in "$(command -v anka-ci || true)" "${HOME:-}/.local/bin/anka-ci" /opt/homebrew/bin/anka-ci /usr/local/bin/anka-ci; do
  [ -x "$place" ] || continue
  found=$(version "$place")
  if [ "$found" = "anka-ci $ANKA_CI_VERSION" ]; then exec "$place" "$ANKA_CI_STEP" --report jenkins; fi
  say "anka-ci: $place is ${found:-broken}, and not the library's $ANKA_CI_VERSION, so it is not taken"
done

# A Python is good when it is 3.10 or newer and can make virtual environments (Debian ships ensurepip apart from it).
good() { "$1" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }
# Without its command line tools, macOS answers /usr/bin/python3 with a dialogue that nobody on an agent clicks.
stub() { [ "$1" = /usr/bin/python3 ] && [ "$(uname)" = Darwin ] && ! xcode-select -p >/dev/null 2>&1; }

if [ -n "${ANKA_CI_PYTHON:-}" ]; then
  python=$(command -v "$ANKA_CI_PYTHON" || true)
  if [ -z "$python" ] || ! good "$python"; then
    say "anka-ci: ANKA_CI_PYTHON names no Python 3.10 or newer with the modules venv and ensurepip: $ANKA_CI_PYTHON"
    exit 127
  fi
else
  python=
  for name in python3.13 python3.12 python3.11 python3.14 python3.10 python3; do
    for place in "$(command -v $name || true)" "/opt/homebrew/bin/$name" "/usr/local/bin/$name" "${HOME:-}/.local/bin/$name"; do
      if [ -z "$python" ] && [ -x "$place" ] && ! stub "$place" && good "$place"; then python=$place; fi
    done
  done
fi
if [ -z "$python" ]; then
  say "anka-ci: not found on this agent, and no Python 3.10 or newer with the modules venv and ensurepip to install it with." \
    "  macOS: brew install python@3.12    Debian, Ubuntu: apt-get install python3-venv" \
    "  or: set ANKA_CI_PYTHON to a Python, or ANKA_CI_VENV to a virtual environment that holds anka-ci" \
    "  PATH is $PATH"
  exit 127
fi
export ANKA_CI_SOURCE ANKA_CI_PLACE
exec "$python" -I "$ANKA_CI_INSTALLER"
