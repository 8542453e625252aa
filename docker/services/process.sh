# shellcheck shell=bash
# Starting and stopping one server as a plain process. Sourced, never run; `SERVER` names it in messages.
# A server owns one directory: `pid` (process, its birth, the signal that stops it), `log`, `env`, `data/`.

say() { printf '[%s] %s\n' "${SERVER:-services}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# When a process started, in clock ticks since boot: a recycled process id is never mistaken for our server.
process_birth() {
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    stat=${stat##*) }
    # Field 22 of proc(5); two fields were cut off above.
    set -- $stat
    echo "${20}"
}

# Below the range the kernel hands to outgoing connections, so that nobody takes the port before we use it.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    die "no free port between 20000 and 32000"
}

# server_spawn DIR SIGNAL COMMAND...: detached from the terminal, so that Ctrl-C reaches the caller alone.
server_spawn() {
    local dir=$1 signal=$2
    shift 2
    rm -f "$dir/pid"
    # The process writes its own id before it becomes the server: it never runs unrecorded.
    (
        cd /
        exec setsid "$BASH" -c "$(declare -f process_birth)"'
            echo "$$ $(process_birth $$) $1" >"$0/pid"
            shift
            exec "$@"' "$dir" "$signal" "$@"
    ) </dev/null >>"$dir/log" 2>&1 &
    until [[ -s $dir/pid ]] || ! kill -0 $! 2>/dev/null; do
        sleep 0.02
    done
}

server_alive() {
    local pid birth
    { read -r pid birth _ <"$1/pid"; } 2>/dev/null || return 1
    [[ -n $birth && $(process_birth "$pid") == "$birth" ]]
}

# server_wait DIR DEADLINE_S CHECK...: 0 when CHECK succeeds, 1 when the process dies or the deadline passes.
server_wait() {
    local dir=$1 deadline=$((SECONDS + $2))
    shift 2
    while ((SECONDS < deadline)); do
        server_alive "$dir" || return 1
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.2
    done
    say "not ready in time"
    return 1
}

# server_start DIR LAUNCH: calls `LAUNCH DIR PORT`, with another port if the first was taken in the meantime.
server_start() {
    local dir=$1 launch=$2 port began=$SECONDS
    mkdir -p "$dir"
    for _ in 1 2 3; do
        port=$(free_port)
        if "$launch" "$dir" "$port"; then
            say "ready on 127.0.0.1:$port after $((SECONDS - began)) s"
            return
        fi
        server_stop "$dir"
        grep -qi 'address already in use' "$dir/log" || break
    done
    say "did not start; the end of $dir/log:"
    tail -n 20 "$dir/log" >&2
    exit 1
}

# Asks politely, waits, then insists. Does nothing for a server that is already gone.
server_stop() {
    local dir=$1 pid birth signal
    server_alive "$dir" || return 0
    read -r pid birth signal <"$dir/pid"
    kill "-$signal" "$pid" 2>/dev/null || true
    for _ in {1..150}; do
        server_alive "$dir" || break
        sleep 0.1
    done
    if server_alive "$dir"; then
        say "process $pid ignored SIG$signal for 15 s, killing it"
        kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
    fi
}

random_password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# export_line NAME VALUE: one line of a server's `env` file.
export_line() { printf 'export %s=%q\n' "$1" "$2"; }
