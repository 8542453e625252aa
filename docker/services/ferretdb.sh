#!/usr/bin/env bash
# The MongoDB wire protocol, spoken by FerretDB on the PostgreSQL next to it:
# ferretdb.sh packages | prepare | start DIR POSTGRES_DIR | stop DIR
set -euo pipefail
SERVER=mongo
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/packages.sh"

VERSION=v1.24.2
MODULE=github.com/FerretDB/FerretDB@$VERSION
# What FerretDB's go.mod asks for.
GO=go1.24.3

packages() { cached || packages_need go golang-go; }

cached() { [[ -d $CACHE/ferretdb-$VERSION ]]; }

prepare() {
    cached && return
    packages
    say "building FerretDB $VERSION, once, about two minutes"
    cache_build "ferretdb-$VERSION" ferretdb_build
}

ferretdb_build() {
    local dir=$1 source go
    go=$(go_recent)
    mkdir -p "$dir/source"
    # `go mod download` wants to be inside a module, whichever.
    (cd "$dir" && printf 'module build\n' >go.mod && "$go" mod download "$MODULE")
    source=$("$go" env GOMODCACHE)/github.com/!ferret!d!b/!ferret!d!b@$VERSION
    cp -r "$source/." "$dir/source" && chmod -R u+w "$dir/source"
    # The build refuses to go on without it.
    echo "$VERSION" >"$dir/source/build/version/version.txt"
    (
        cd "$dir/source"
        CGO_ENABLED=0 "$go" build -buildvcs=false -trimpath -o "$dir/ferretdb" ./cmd/ferretdb
    )
    rm -rf "$dir/source" "$dir/go.mod" "$dir/go.sum"
}

# Go 1.21 and later fetch the toolchain they need. Debian 12 has 1.19, which can download it as a module.
go_recent() {
    local minor toolchain
    minor=$(go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
    if ((minor >= 21)); then
        command -v go
        return
    fi
    toolchain=golang.org/toolchain@v0.0.1-$GO.$(go env GOOS)-$(go env GOARCH)
    (cd "$(mktemp -d)" && printf 'module build\n' >go.mod && go mod download "$toolchain") >&2
    toolchain=$(go env GOMODCACHE)/$toolchain
    # Module archives carry no executable bits.
    chmod -R u+w,a+x "$toolchain/bin" "$toolchain/pkg/tool" >&2
    echo "$toolchain/bin/go"
}

launch() {
    local dir=$1 port=$2
    mkdir -p "$dir/data"
    server_spawn "$dir" TERM "$CACHE/ferretdb-$VERSION/ferretdb" --handler=postgresql \
        --postgresql-url="$(<"$POSTGRES_DIR/ferretdb-url")" --listen-addr="127.0.0.1:$port" \
        --telemetry=disable --debug-addr=- --state-dir="$dir/data" --log-level=warn
    server_wait "$dir" 30 answers_ping "$port" || return 1
    export_line MONGO_URL "mongodb://127.0.0.1:$port/tenantry" >"$dir/env"
}

# One OP_MSG with {ping: 1, $db: "admin"}, by hand: no MongoDB shell is needed for it.
answers_ping() {
    timeout 5 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$0"
        printf "\x33\0\0\0\1\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0" >&3
        printf "\x1e\0\0\0\x10ping\0\1\0\0\0\2\$db\0\6\0\0\0admin\0\0" >&3
        head -c 38 <&3 | grep -aq ok' "$1"
}

case ${1:-} in
    packages) packages ;;
    prepare) prepare ;;
    start)
        POSTGRES_DIR=${3:?directory of the PostgreSQL server}
        prepare
        server_start "${2:?directory}" launch
        ;;
    stop) server_stop "${2:?directory}" ;;
    *) die "usage: ferretdb.sh packages | prepare | start DIR POSTGRES_DIR | stop DIR" ;;
esac
