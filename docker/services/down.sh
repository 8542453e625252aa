#!/usr/bin/env bash
# Stops the servers that up.sh started, nothing else, and deletes their data: down.sh [ENV_FILE]
# With --check ENV_FILE it only says by its exit code whether one of them still runs.
# With --directory DIR it keeps the logs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
source "$here/process.sh"
source "$here/directory.sh"

started_in() { sed -n 's/^# directory: //p' "$1" | head -n 1; }

check() {
    local server dir
    dir=$(started_in "$1")
    for server in redis postgres mongo neo4j; do
        server_alive "$dir/$server" && return 0
    done
    return 1
}

stop_all() {
    local env_file=$1 dir
    [[ -f $env_file ]] || { say "nothing to stop: there is no $env_file"; return; }
    dir=$(started_in "$env_file")
    if [[ -d $dir ]]; then
        services_stop "$dir"
        services_clean "$dir"
    fi
    rm -f "$env_file"
    say "stopped"
}

case ${1:-} in
    --check) check "${2:?env file}" ;;
    --directory) services_stop "${2:?directory}"; services_clean_data "$2" ;;
    *) stop_all "${1:-$root/.data/services.env}" ;;
esac
