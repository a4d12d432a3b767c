#!/bin/bash
# Exits 0 when the node on this machine answers GET /healthz with 200, and 1 otherwise.
#
# The image has no HTTP client, so this speaks HTTP through bash's /dev/tcp. The port is that of
# LOCKGATE_HTTP__LISTEN, else 8080; an argument overrides both.
set -u

listen=${LOCKGATE_HTTP__LISTEN:-127.0.0.1:8080}
port=${1:-${listen##*:}}

exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
printf 'GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 || exit 1
read -r -t 2 -u 3 _ status _ || exit 1
[ "$status" = 200 ]
