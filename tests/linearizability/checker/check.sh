#!/bin/bash
# Whether recorded histories are linearizable: check.sh FOLDER/*.jsonl. Needs Go. First the checker itself is tried: it
# has to refuse every history in ../planted, and every one named planted-*, each of which holds one answer too many.
set -euo pipefail
command -v go >/dev/null || { echo "the checker needs Go 1.26 or later, which is not here"; exit 2; }
histories=() planted=()
for each in "$@"; do
  case $(basename "$each") in
    planted-*) planted+=("$(realpath "$each")") ;;
    *) histories+=("$(realpath "$each")") ;;
  esac
done
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/checker" .
for each in ../planted/*.jsonl "${planted[@]}"; do
  cp "$each" "$work/history.jsonl"
  if "$work/checker" "$work/history.jsonl" >"$work/said"; then code=0; else code=$?; fi
  [ "$code" = 1 ] || { cat "$work/said"; echo "$each: should have been refused, ended with $code"; exit 3; }
  echo "$(basename "$each"): refused, as it should be"
done
"$work/checker" "${histories[@]}"
