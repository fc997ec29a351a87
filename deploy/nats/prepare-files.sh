#!/bin/sh
# Run as root before the broker: whatever the volume holds becomes the broker's own, and its configuration and health
# check lie beside it, readable for nobody else. Safe to repeat; a broker that runs meanwhile is not disturbed.
set -eu
for file in upline.conf health.sh; do
  cp "/etc/nats/$file" "/data/$file.new"
  chmod 400 "/data/$file.new"
  mv "/data/$file.new" "/data/$file"
done
chown -R 10002:10002 /data
chmod 700 /data
