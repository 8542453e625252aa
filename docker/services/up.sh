#!/usr/bin/env bash
# Starts the servers whose URL is not set, and writes the URLs to a file to be sourced: up.sh [ENV_FILE [DIR]]
#
# Left alone when its URL is set: REDIS_URL, POSTGRES_URL with POSTGRES_ADMIN_URL, MONGO_URL, NEO4J_URL.
# Data and logs go to DIR, by default a fresh temporary directory. --packages only installs what is missing.
# `down.sh ENV_FILE` stops what was started. Data lives as long as the servers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
source "$here/process.sh"
source "$here/packages.sh"
source "$here/directory.sh"

env_file=${1:-$root/.data/services.env}
began=$SECONDS

given() { [[ -n ${!1:-} ]]; }

servers=()
given REDIS_URL || servers+=(redis)
given POSTGRES_URL && given MONGO_URL || servers+=(postgres)
given NEO4J_URL || servers+=(neo4j)

# Before anything else and one by one: apt-get works alone, and sudo may ask for a password.
for server in "${servers[@]}"; do
    "$here/$server.sh" packages
done
given MONGO_URL || "$here/ferretdb.sh" packages
if [[ $env_file == --packages ]]; then
    exit
fi

if [[ -f $env_file ]] && "$here/down.sh" --check "$env_file"; then
    die "already running: source $env_file, or stop them with docker/services/down.sh $env_file"
fi
if [[ ${POSTGRES_URL:+set} != "${POSTGRES_ADMIN_URL:+set}" ]]; then
    die "POSTGRES_URL and POSTGRES_ADMIN_URL belong together: set both or none"
fi

dir=${2:-$(services_directory)}
waiting=()

# Whatever ends this script early also ends what it started.
abandon() {
    local process
    for process in "${waiting[@]}"; do
        kill -TERM -- "-$process" 2>/dev/null || true
    done
    services_stop "$dir"
    services_clean_data "$dir"
}
trap abandon EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# A process group for each, which `abandon` can end with all its children.
background() {
    set -m
    "$@" &
    set +m
    waiting+=($!)
}

# Downloads, builds and starts share the machine.
for server in "${servers[@]}"; do
    background "$here/$server.sh" start "$dir/$server"
done
given MONGO_URL || background "$here/ferretdb.sh" prepare
for process in "${waiting[@]}"; do
    wait "$process" || die "could not start everything"
done
waiting=()
given MONGO_URL || { background "$here/ferretdb.sh" start "$dir/mongo" "$dir/postgres"; wait $!; }

# A PostgreSQL that only carries FerretDB is nobody's POSTGRES_URL.
given POSTGRES_URL && rm -f "$dir/postgres/env"
mkdir -p "$(dirname "$env_file")"
(
    umask 077
    echo "# Servers started by docker/services/up.sh; stop them with docker/services/down.sh."
    echo "# directory: $dir"
    cat "$dir"/*/env 2>/dev/null || true
) >"$env_file.new"
mv "$env_file.new" "$env_file"

trap - EXIT INT TERM HUP
say "all ready after $((SECONDS - began)) s; logs in $dir/*/log; to use them: source $env_file"
