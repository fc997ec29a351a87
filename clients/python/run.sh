#!/bin/bash
# Plain protoc and Python, in an environment of its own: makes the stubs, then runs the client.
set -euo pipefail
cd "$(dirname "$0")"
python3() { "$(cd ../.. && pwd)/.venv/bin/python" "$@"; }

python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
mkdir -p stubs
.venv/bin/python -m grpc_tools.protoc --proto_path=../../protos --python_out=stubs --grpc_python_out=stubs \
  $(cd ../../protos && find buf upline -name '*.proto')
PYTHONPATH=stubs .venv/bin/python client.py
