#!/bin/bash
# Builds and runs every client, or those that are named: clients/check.sh [go-plain go java node python].
# Against the stack that UPLINE_ATTRIBUTION_ADDR and UPLINE_REWARDS_ADDR name, which has programs/uds.yaml; without them
# against one of their own, on free ports and in a temporary directory.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/upline ] || { echo "first: make setup"; exit 1; }

declare -A needs=([go-plain]=go [go]=go [java]=mvn [node]=npm [python]=python3)
clients=("$@")
[ $# -gt 0 ] || clients=(go-plain go java node python)
for client in "${clients[@]}"; do
  tool=${needs[$client]:-}
  [ -n "$tool" ] || { echo "there is no client $client; there are: ${!needs[*]}"; exit 2; }
  if ! command -v "$tool" >/dev/null; then
    echo "the client $client needs $tool, which is not here; run others by CLIENTS=\"node python\""
    exit 2
  fi
done

state= stack=
finish() {
  [ -z "$stack" ] || { kill "$stack" && wait "$stack"; } || true
  [ -z "$state" ] || rm -rf "$state"
}
trap finish EXIT

if [ -z "${UPLINE_ATTRIBUTION_ADDR:-}" ] || [ -z "${UPLINE_REWARDS_ADDR:-}" ]; then
  unset UPLINE_ATTRIBUTION_ADDR UPLINE_REWARDS_ADDR UPLINE_NOTIFY_ADDR
  state=$(mktemp -d)
  touch "$state/log"
  .venv/bin/upline up --state "$state/stack" --attribution-port 0 --rewards-port 0 --notify-port 0 --redirect-port 0 \
    >"$state/log" 2>&1 &
  stack=$!
  until grep -q 'ready; Ctrl-C' "$state/log"; do
    kill -0 "$stack" 2>/dev/null || { cat "$state/log"; exit 1; }
    sleep 0.2
  done
  .venv/bin/upline apply --state "$state/stack" programs/uds.yaml
  address() {
    .venv/bin/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["services"][sys.argv[2]])' \
      "$state/stack/stack.json" "$1"
  }
  UPLINE_ATTRIBUTION_ADDR=$(address attribution) UPLINE_REWARDS_ADDR=$(address rewards)
  export UPLINE_ATTRIBUTION_ADDR UPLINE_REWARDS_ADDR
fi

for client in "${clients[@]}"; do
  printf '\n== clients/%s\n' "$client"
  "clients/$client/run.sh"
done
printf '\n%d clients, all as it should be\n' "${#clients[@]}"
