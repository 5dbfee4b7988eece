#!/usr/bin/env bash
# Write requirements/*.lock from pyproject.toml: exact versions and hashes, no registry's address.
set -euo pipefail
cd "$(dirname "$0")/.."
compile=(.venv/bin/uv pip compile -q --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header)
"${compile[@]}" requirements/setup.in -o requirements/setup.lock
"${compile[@]}" requirements/eark-validator.in -o requirements/eark-validator.lock
"${compile[@]}" requirements/build.in -o requirements/build.lock
"${compile[@]}" pyproject.toml --extra embedded --extra development --extra pkcs11 --extra http --extra telemetry -o requirements/runtime.lock
# What the images for production have: no embedded broker, no development PKI; the versions of runtime.lock.
"${compile[@]}" -c requirements/runtime.lock pyproject.toml --extra pkcs11 --extra http --extra telemetry -o requirements/production.lock
"${compile[@]}" pyproject.toml --extra embedded --extra development --extra pkcs11 --extra http --extra telemetry --group dev -o requirements/dev.lock
# The peers of the benchmarks, with our versions of what is ours too, or the comparison would be of versions.
shared='^(pyhanko|pyhanko-certvalidator|asn1crypto|cryptography|docxtpl|python-docx|jinja2|lxml|celery|kombu|amqp|boto3|botocore|requests)=='
"${compile[@]}" --no-annotate -c <(grep -E "$shared" requirements/dev.lock | sed 's/ .*//') requirements/bench.in -o requirements/bench.lock
