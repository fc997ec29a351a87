#!/bin/bash
# Runs the example against a stack of its own, on free ports, and checks what it prints.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
upline=$root/.venv/bin/upline
[ -x "$upline" ] || { echo "first: make setup"; exit 1; }
unset UPLINE_ATTRIBUTION_ADDR UPLINE_REWARDS_ADDR UPLINE_NOTIFY_ADDR

state=$(mktemp -d)
touch "$state/log"
stack=
finish() {
  [ -z "$stack" ] || { kill "$stack" && wait "$stack"; } || true
  rm -rf "$state"
}
trap finish EXIT

npm ci --no-audit --no-fund --silent
"$upline" up --state "$state/stack" --attribution-port 0 --rewards-port 0 --notify-port 0 --redirect-port 0 \
  >"$state/log" 2>&1 &
stack=$!
until grep -q 'ready; Ctrl-C' "$state/log"; do
  kill -0 "$stack" 2>/dev/null || { cat "$state/log"; exit 1; }
  sleep 0.2
done
"$upline" apply --state "$state/stack" "$root/programs/uds.yaml"

address() { "$root/.venv/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["services"][sys.argv[2]])' "$state/stack/stack.json" "$1"; }
UPLINE_ATTRIBUTION_ADDR=$(address attribution) UPLINE_REWARDS_ADDR=$(address rewards) npm start --silent | tee "$state/out"

# 5 % for the buyer at once; 3 % and 1 % for the two above, held until the goods cannot be returned any more.
grep -qE '^clara-[0-9a-f]{8}: 125\.00 points available, 0\.00 held$' "$state/out"
grep -qE '^boris-[0-9a-f]{8}: 0\.00 points available, 75\.00 held$' "$state/out"
grep -qE '^anna-[0-9a-f]{8}: 0\.00 points available, 25\.00 held$' "$state/out"
echo "as it should be"
