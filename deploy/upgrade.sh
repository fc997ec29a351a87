#!/bin/bash
# Brings a running compose stack to the version of this checkout: deploy/upgrade.sh
#
# The servers where their description changed, then the tables, while the version before goes on; then the containers of
# each service, one after the other. Where the migration or a new container fails, the rest is left alone: what was not
# replaced yet goes on answering as the version before. Each migration leaves tables that the version before can use.
# Callers of a service with one container see UNAVAILABLE for the seconds in which it is replaced, which their retries
# cover.
set -euo pipefail
cd "$(dirname "$0")/.."
wait_seconds=180 # for a new container to be healthy

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*"; }

start() { # SERVICE REPLICAS: starts what is missing; containers that run stay as they are
  docker compose up --detach --no-build --no-recreate --wait --wait-timeout "$wait_seconds" --scale "$1=$2" "$1"
}

say "building the image"
docker compose build --quiet
say "bringing the servers to what the compose file says"
docker compose up --detach --no-build --wait --wait-timeout "$wait_seconds" postgres nats
say "migrating the tables; the version before goes on"
docker compose rm --force migrate # what is left of the last run
docker compose up --detach --no-build --no-recreate migrate
if ! docker compose wait migrate; then
  docker compose logs --no-log-prefix migrate >&2
  say "the migration failed: no service was touched, the version before goes on" >&2
  exit 1
fi
for service in attribution redirect rewards notify; do
  containers=$(docker compose ps --all --quiet "$service")
  replicas=$(wc -w <<<"$containers")
  for container in $containers; do
    say "replacing one of $replicas of $service"
    docker stop "$container" >/dev/null
    docker rm "$container" >/dev/null
    if ! start "$service" "$replicas"; then
      say "the new $service is not healthy: see 'docker compose logs $service'." \
        "What was not replaced yet goes on as before" >&2
      exit 1
    fi
  done
  if ((replicas == 0)); then
    # Of the redirect, which was a part of attribution, as many as of that, whose containers have left the ports.
    [[ $service == redirect ]] && replicas=$(docker compose ps --quiet attribution | wc -w)
    say "starting $service"
    start "$service" "$((replicas > 0 ? replicas : 1))"
  fi
done
say "done"
