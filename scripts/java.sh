#!/usr/bin/env bash
# Java and Maven for the validators, when they are missing.
set -euo pipefail
if command -v javac >/dev/null && command -v mvn >/dev/null; then exit 0; fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
echo "Installing Debian packages: default-jdk-headless maven"
$sudo apt-get update -q >/dev/null
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends default-jdk-headless maven >/dev/null
