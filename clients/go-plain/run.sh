#!/bin/bash
# Plain protoc and Go: makes the stubs, then builds and runs the client.
set -euo pipefail
cd "$(dirname "$0")"
# Any protoc does; the one in Python's package grpcio-tools is in .venv anyway.
protoc() { ../../.venv/bin/python -m grpc_tools.protoc "$@"; }

export GOBIN=$PWD/bin PATH=$PWD/bin:$PATH
go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
protoc --proto_path=../../protos \
  --go_out=stubs --go_opt=module=upline.internal/go \
  --go-grpc_out=stubs --go-grpc_opt=module=upline.internal/go \
  $(cd ../../protos && find upline -name '*.proto')
go run .
