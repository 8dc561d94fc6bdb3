#!/usr/bin/env bash
# Asks a service inside its container how it is, with nothing but bash: exits 0 when the answer is 200.
#   healthcheck.sh ADDRESS:PORT [PATH [STATUS]]     an address to listen on, 0.0.0.0 and [::] too; /livez unless said
#                                                   otherwise; the answer that is expected instead of 200
set -euo pipefail

host=${1%:*}
host=${host#[}
host=${host%]}
exec 3<>"/dev/tcp/$host/${1##*:}"
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "${2:-/livez}" >&3
IFS= read -r -t 5 status <&3
echo "${status%$'\r'}"
[[ $status == "HTTP/1.1 ${3:-200} "* ]]
