#!/bin/bash
# Node, which reads the contracts when it starts: installs what package-lock.json names, then runs the client.
set -euo pipefail
cd "$(dirname "$0")"

npm ci --no-audit --no-fund --silent
npm start --silent
