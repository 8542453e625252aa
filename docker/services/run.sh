#!/usr/bin/env bash
# Runs a command with all servers up, then stops those it started: run.sh COMMAND...
#
# The command sees REDIS_URL, POSTGRES_ADMIN_URL, POSTGRES_URL, MONGO_URL and NEO4J_URL; set one beforehand to
# use your own server. The exit code is the command's. The servers go away with this script, however it ends.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/directory.sh"
(($#)) || die "usage: run.sh COMMAND..."

dir=$(services_directory)
command_group=

finish() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [[ -n $command_group ]]; then
        command_end
    fi
    services_stop "$dir"
    rm -f "$dir/command" "$dir/urls"
    # Interrupted is not failed: nobody will look at those logs.
    if ((code == 0 || code > 128)); then
        services_clean "$dir"
    else
        services_clean_data "$dir"
        [[ ! -d $dir ]] || say "exit code $code; the servers' logs are kept in $dir/*/log"
    fi
    exit "$code"
}

# Ends the command with all its children: first a request, ten seconds later by force.
command_end() {
    kill -TERM -- "-$command_group" 2>/dev/null || return 0
    for _ in {1..100}; do
        kill -0 -- "-$command_group" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$command_group" 2>/dev/null || true
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Even if this script is killed outright, command and servers do not outlive it.
setsid bash -c '
    tail --pid="$0" -f /dev/null
    [[ -d $2 ]] || exit
    [[ ! -s $2/command ]] || kill -TERM -- "-$(<"$2/command")"
    exec "$1/down.sh" --directory "$2"' "$$" "$here" "$dir" </dev/null >/dev/null 2>&1 &

# In the background, because a shell that waits for a foreground process does not react to signals, and in a
# process group of its own, so that the command and its children can be ended together.
supervised() {
    local code=0
    set -m
    "$@" </dev/null &
    set +m
    command_group=$!
    echo "$command_group" >"$dir/command"
    wait "$command_group" || code=$?
    command_group=
    rm -f "$dir/command"
    return "$code"
}

# In the foreground, where sudo can ask for a password.
"$here/up.sh" --packages
supervised "$here/up.sh" "$dir/urls" "$dir"
# shellcheck source=/dev/null
source "$dir/urls"
supervised "$@"
