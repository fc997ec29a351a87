#!/bin/bash
# Maven and Java: makes the stubs, builds and runs the client, all as pom.xml says.
set -euo pipefail
cd "$(dirname "$0")"

mvn --batch-mode --quiet compile exec:java
