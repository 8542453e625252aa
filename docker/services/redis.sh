#!/usr/bin/env bash
# Redis as a plain process: redis.sh packages | prepare | start DIR | stop DIR
set -euo pipefail
SERVER=redis
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/packages.sh"

packages() { packages_need redis-server redis-server; }

# Jobs live here: nothing may be evicted, and every write goes to the append-only file.
launch() {
    local dir=$1 port=$2
    mkdir -p "$dir/data"
    server_spawn "$dir" TERM redis-server --port "$port" --bind 127.0.0.1 --dir "$dir/data" \
        --appendonly yes --maxmemory-policy noeviction --save '' --daemonize no
    server_wait "$dir" 30 answers_ping "$port" || return 1
    export_line REDIS_URL "redis://127.0.0.1:$port/" >"$dir/env"
}

answers_ping() { [[ $(redis-cli -h 127.0.0.1 -p "$1" ping) == PONG ]]; }

case ${1:-} in
    packages | prepare) packages ;;
    start) packages; server_start "${2:?directory}" launch ;;
    stop) server_stop "${2:?directory}" ;;
    *) die "usage: redis.sh packages | prepare | start DIR | stop DIR" ;;
esac
