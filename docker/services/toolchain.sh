#!/usr/bin/env bash
# What building takes: Rust with its usual components, and the C compiler that some crates call.
set -euo pipefail
SERVER=toolchain
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/packages.sh"

packages_need cc build-essential
command -v cargo >/dev/null || die "Rust is missing; https://rustup.rs says how to install it"
for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 && continue
    say "cargo $component is missing, adding it"
    rustup component add rustfmt clippy >&2 || die "please install rustfmt and clippy for this Rust"
done
