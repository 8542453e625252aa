#!/usr/bin/env bash
# Neo4j 5 Community as a plain process: neo4j.sh packages | prepare | start DIR | stop DIR
# Neo4j publishes its server as Java libraries; neo4j/ holds the list of them and a program that starts it.
set -euo pipefail
SERVER=neo4j
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/packages.sh"

VERSION=$(sed -n 's|.*<neo4j.version>\(.*\)</neo4j.version>.*|\1|p' "$here/neo4j/pom.xml")

packages() {
    packages_need java default-jdk-headless
    cached && return
    packages_need javac default-jdk-headless
    packages_need mvn maven
}

cached() { [[ -d $CACHE/neo4j-$VERSION ]]; }

prepare() {
    packages
    cached && return
    say "downloading Neo4j $VERSION, once, about 240 libraries"
    cache_build "neo4j-$VERSION" neo4j_build
}

neo4j_build() {
    local dir=$1
    mvn --batch-mode --no-transfer-progress --file "$here/neo4j/pom.xml" \
        -DoutputDirectory="$dir/lib" dependency:copy-dependencies
    # Maven makes `target/` beside the pom only when it compiles, which it does not here.
    javac -proc:none -cp "$dir/lib/*" -d "$dir" "$here/neo4j/Neo4jServer.java"
}

# A small heap and the quick compiler: tests need an early start more than peak speed. A proper shutdown takes
# over ten seconds and saves data that nobody opens again, so it is stopped by force.
launch() {
    local dir=$1 port=$2 neo4j=$CACHE/neo4j-$VERSION
    mkdir -p "$dir/data"
    server_spawn "$dir" KILL java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -cp "$neo4j:$neo4j/lib/*" Neo4jServer "$dir/data" "$port"
    server_wait "$dir" 120 answers_bolt "$port" || return 1
    export_line NEO4J_URL "bolt://127.0.0.1:$port" >"$dir/env"
}

# The Bolt handshake: a magic number and four versions; the answer is the one it picked, zero for none.
answers_bolt() {
    timeout 5 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$0"
        printf "\x60\x60\xb0\x17\0\0\4\4\0\0\1\4\0\0\0\0\0\0\0\0" >&3
        [[ $(head -c 4 <&3 | od -An -tx1 | tr -d " \n") == 00000[1-4]04 ]]' "$1"
}

case ${1:-} in
    packages) packages ;;
    prepare) prepare ;;
    start) prepare; server_start "${2:?directory}" launch ;;
    stop) server_stop "${2:?directory}" ;;
    *) die "usage: neo4j.sh packages | prepare | start DIR | stop DIR" ;;
esac
