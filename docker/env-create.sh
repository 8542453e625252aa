#!/usr/bin/env bash
# Makes docker/.env from compose.env.sample, with random passwords and keys. Never overwrites one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [[ -e .env ]]; then
    echo "docker/.env exists already; the servers' volumes know its passwords, so it stays as it is" >&2
    exit
fi

random_hex() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
random_base64url() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

umask 077
while IFS= read -r line; do
    case $line in
        TENANTRY_STAMP_KEYS=) echo "${line}k1:$(random_base64url)" ;;
        [A-Z]*=) echo "$line$(random_hex)" ;;
        *) echo "$line" ;;
    esac
done <compose.env.sample >.env.new
mv .env.new .env
echo "docker/.env is ready; next: docker compose -f docker/compose.yaml up --build -d" >&2
