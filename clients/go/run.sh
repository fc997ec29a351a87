#!/bin/bash
# buf and Go, with protovalidate: makes the stubs as buf.gen.yaml says, then builds and runs the client.
set -euo pipefail
cd "$(dirname "$0")"
# Any buf does; the one in Python's package buf-bin is in .venv anyway.
buf() { ../../.venv/bin/buf "$@"; }

export GOBIN=$PWD/bin PATH=$PWD/bin:$PATH
go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
buf generate
go run .
