#!/usr/bin/env bash
# Schemathesis, which makes requests out of an OpenAPI document, in a directory of its own: schemathesis.sh
#
# Prints the directory: `PYTHONPATH=DIR python3 -m schemathesis.cli` runs it.
set -euo pipefail
SERVER=schemathesis
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/packages.sh"

RELEASE=schemathesis==4.32.5

install() {
    python3 -m pip install --quiet --no-compile --root-user-action=ignore --target "$1" "$RELEASE"
}

if [[ ! -d $CACHE/$RELEASE ]]; then
    python3 -m pip --version >/dev/null 2>&1 || packages_install "pip is missing" python3-pip
    say "downloading $RELEASE"
    cache_build "$RELEASE" install
fi
echo "$CACHE/$RELEASE"
