# shellcheck shell=bash
# Finding programs, installing the Debian packages that carry them, caching downloads. Sourced, never run.

# Outside the repository, so that a fresh clone starts fast.
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/tenantry

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

can_be_root() {
    ((EUID == 0)) && return
    command -v sudo >/dev/null || return
    # Without a terminal nobody could type a password.
    sudo -n true 2>/dev/null || [[ -t 0 ]]
}

# packages_need PROGRAM PACKAGE...: makes sure that PROGRAM is on the path.
packages_need() {
    local program=$1
    shift
    command -v "$program" >/dev/null && return
    packages_install "$program is missing" "$@"
    command -v "$program" >/dev/null || die "$program is still missing after installing: $*"
}

# packages_install WHY PACKAGE...
packages_install() {
    local why=$1 advice
    shift
    advice="apt-get update && apt-get install -y --no-install-recommends $*"
    command -v apt-get >/dev/null || die "$why; install what your system calls: $*"
    can_be_root || die "$why; as root, run: $advice"
    say "$why, installing: $*"
    mkdir -p "$CACHE"
    (
        exec 9>"$CACHE/apt.lock"
        flock 9
        export DEBIAN_FRONTEND=noninteractive
        packages_apt_get install -y --no-install-recommends "$@" ||
            { packages_apt_get update && packages_apt_get install -y --no-install-recommends "$@"; }
    ) >"$CACHE/apt.log" 2>&1 && return
    tail -n 20 "$CACHE/apt.log" >&2
    die "apt-get failed; as root, run: $advice"
}

packages_apt_get() { as_root apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"; }

# cache_build NAME BUILD: runs `BUILD DIR` once per NAME; the directory appears complete or not at all.
cache_build() {
    local target=$CACHE/$1 build=$2 parts
    mkdir -p "$CACHE"
    exec 9>"$target.lock"
    flock 9
    if [[ ! -d $target ]]; then
        parts=$(mktemp -d "$target.XXXXXX")
        chmod 755 "$parts"
        # A shell of its own: `set -e` would be off in a function that is part of a condition.
        set +e
        (set -e; "$build" "$parts") >"$target.log" 2>&1
        local code=$?
        set -e
        if ((code != 0)); then
            rm -rf "$parts"
            tail -n 30 "$target.log" >&2
            die "could not be prepared; see $target.log"
        fi
        mv -T "$parts" "$target"
    fi
    exec 9>&-
}
