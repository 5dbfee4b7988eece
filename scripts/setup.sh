#!/usr/bin/env bash
# Install what is missing: Debian packages (apt, sudo only if not root) and the locked wheels in .venv. Safe to repeat.
# With --tests, also the Debian packages that only the tests need.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3.11}

case "${1-}" in
  "") lists=(packages.txt) stamps=(.venv/.installed) ;;
  --tests) lists=(packages.txt packages-test.txt) stamps=(.venv/.installed .venv/.installed-tests) ;;
  *) echo "usage: scripts/setup.sh [--tests]" >&2; exit 2 ;;
esac
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi

missing=()
while read -r package; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < <(cat "${lists[@]}")

# Debian's packages start RabbitMQ and its port mapper as services of the machine, now and at each boot. The tests run
# their own, so a new one is neither started (policy-rc.d(8)) nor enabled.
services=()
for unit in rabbitmq-server.service epmd.socket epmd.service; do
  if [ ! -e "/lib/systemd/system/$unit" ]; then services+=("$unit"); fi
done
start_nothing() {
  local policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then return; fi
  trap "$sudo rm -f $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" > /dev/null
  $sudo chmod 755 "$policy"
}
enable_nothing() {
  if [ -e /etc/init.d/rabbitmq-server ] && [[ " ${services[*]-} " == *rabbitmq* ]]; then
    $sudo update-rc.d rabbitmq-server disable
  fi
  if command -v systemctl > /dev/null; then
    for unit in "${services[@]}"; do
      if [ -e "/lib/systemd/system/$unit" ]; then $sudo systemctl disable "$unit"; fi
    done
  fi
}

if ((${#missing[@]})); then
  echo "Installing Debian packages: ${missing[*]}"
  log=$(mktemp)
  start_nothing
  # shellcheck disable=SC2024
  if ! { $sudo apt-get update -q && $sudo env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y -q --no-install-recommends "${missing[@]}" && enable_nothing; } > "$log" 2>&1; then
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
if [[ "${1-}" == --tests ]]; then
  # It needs another lxml than ours, so it has an environment of its own.
  if [ ! -x .venv/eark-validator/bin/python ]; then "$interpreter" -m venv --without-pip .venv/eark-validator; fi
  .venv/bin/uv pip install -q --python .venv/eark-validator/bin/python --require-hashes -r requirements/eark-validator.lock
fi
touch "${stamps[@]}"
