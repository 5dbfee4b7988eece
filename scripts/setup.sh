#!/usr/bin/env bash
# Install what is missing: Debian packages (apt, sudo only if not root) and the locked wheels in .venv. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3.11}

missing=()
while read -r package; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < packages.txt
if ((${#missing[@]})); then
  sudo=""
  if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
  echo "Installing Debian packages: ${missing[*]}"
  log=$(mktemp)
  # shellcheck disable=SC2024
  if ! { $sudo apt-get update -q && $sudo env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y -q --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
    cat "$log" >&2
    echo "The packages above could not be installed. Install them by hand and run make again." >&2
    exit 1
  fi
  rm -f "$log"
fi

# The system's own interpreter first: another python3.11 on the PATH may lack the venv module's pip.
interpreter=$(command -v "/usr/bin/$PYTHON" || command -v "$PYTHON" || true)
if [ -z "$interpreter" ]; then
  echo "$PYTHON was not found. Install it, or name another: make PYTHON=python3.12 …" >&2
  exit 1
fi
if [ ! -x .venv/bin/python ]; then
  echo "Creating .venv with $interpreter"
  "$interpreter" -m venv .venv
fi
echo "Installing the locked Python packages into .venv"
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/setup.lock
# uv takes 3 s where pip takes 37 s; an index set for pip serves it too.
if [ -n "${PIP_INDEX_URL:-}" ]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}; fi
install=(.venv/bin/uv pip install -q --python .venv/bin/python)
"${install[@]}" --require-hashes -r requirements/dev.lock
"${install[@]}" --no-deps --no-build-isolation -e .
touch .venv/.installed
