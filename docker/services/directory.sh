# shellcheck shell=bash
# Where the data and logs of one set of servers live. Sourced, never run.

# Makes and prints a directory that the unprivileged user of PostgreSQL can enter, unlike root's home.
services_directory() {
    local dir
    dir=$(mktemp -d "${TMPDIR:-/tmp}/tenantry-services.XXXXXX")
    chmod 711 "$dir"
    if ((EUID == 0)) && ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$dir"; then
        rmdir "$dir"
        dir=$(mktemp -d /tmp/tenantry-services.XXXXXX)
        chmod 711 "$dir"
    fi
    echo "$dir"
}

# services_stop DIR: stops whichever of the servers run.
services_stop() {
    local server stopping=()
    # FerretDB lets go of PostgreSQL first; the rest stops side by side.
    server_stop "$1/mongo"
    for server in redis neo4j postgres; do
        server_stop "$1/$server" &
        stopping+=($!)
    done
    wait "${stopping[@]}"
}

# services_clean DIR: deletes the data, never a directory of anything else.
services_clean() {
    local server
    for server in mongo redis neo4j postgres; do
        rm -rf "${1:?}/$server"
    done
    rmdir "$1" 2>/dev/null || true
}

# services_clean_data DIR: keeps the logs, if there are any.
services_clean_data() {
    local server
    for server in mongo redis neo4j postgres; do
        rm -rf "${1:?}/$server/data" "$1/$server/server"
    done
    rmdir "$1" 2>/dev/null || true
}
