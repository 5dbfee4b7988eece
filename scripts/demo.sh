#!/usr/bin/env bash
# The main job on the embedded default: a real worker, a command through the queue, and what comes out.
set -euo pipefail
cd "$(dirname "$0")/.."
export SIGNERT_HOME=${SIGNERT_HOME:-$PWD/var}
signert=.venv/bin/signert
demo=$SIGNERT_HOME/demo
mkdir -p "$demo"

echo "Starting a worker (Valkey as broker, a directory as store, a development PKI; all under $SIGNERT_HOME)"
SIGNERT_CONCURRENCY=1 "$signert" worker > "$demo/worker.log" 2>&1 &
worker=$!
stop() { kill -TERM "$worker" 2>/dev/null || true; wait "$worker" 2>/dev/null || true; }
trap stop EXIT

echo "Sending examples/agreement.json through the queue"
if ! "$signert" submit examples/agreement.json --wait --json > "$demo/agreement.json"; then
  cat "$demo/agreement.json" >&2
  echo "The demo did not end well; the worker's log is $demo/worker.log" >&2
  exit 1
fi
id=$(.venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["id"])' < "$demo/agreement.json")
folder=$demo/$id
mkdir -p "$folder"
"$signert" fetch "$id" -o "$folder/signed.pdf" > /dev/null
"$signert" fetch "$id" --what receipt -o "$folder/receipt.json" > /dev/null
"$signert" fetch "$id" --what receipt-pdf -o "$folder/receipt.pdf" > /dev/null

cat <<EOF

Agreement    $id
Signed PDF   $folder/signed.pdf
Receipt      $folder/receipt.json (sealed by receipt.json.p7s beside it)
             $folder/receipt.pdf

Verify them with
  $signert verify $folder/signed.pdf
  pdfsig -nocert $folder/signed.pdf
  openssl cms -verify -binary -inform DER -in $folder/receipt.json.p7s \\
    -content $folder/receipt.json -CAfile $SIGNERT_HOME/devpki/root.pem -purpose any -out /dev/null
EOF
