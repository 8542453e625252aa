#!/usr/bin/env bash
# What makes clients out of an OpenAPI document, and what runs them, in a directory of its own: clients.sh
#
# Prints the directory: `python/` holds Python packages for PYTHONPATH, `node_modules/` those of npm. Which versions, say
# requirements.txt and package-lock.json in tests/clients.
set -euo pipefail
SERVER=clients
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/packages.sh"

WANTED=$here/../../tests/clients
RELEASE=clients-$(cat "$WANTED/requirements.txt" "$WANTED/package-lock.json" | sha256sum | cut -c 1-16)

install() {
    python3 -m pip install --quiet --no-compile --root-user-action=ignore --target "$1/python" \
        --requirement "$WANTED/requirements.txt"
    cp "$WANTED/package.json" "$WANTED/package-lock.json" "$1"
    npm ci --prefix "$1" --no-audit --no-fund --ignore-scripts
}

packages_need node nodejs
packages_need npm npm
node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
    die "Node.js 20.19 or later is needed, this is $(node --version)"
if [[ ! -d $CACHE/$RELEASE ]]; then
    python3 -m pip --version >/dev/null 2>&1 || packages_install "pip is missing" python3-pip
    say "downloading openapi-python-client, openapi-typescript, openapi-fetch and Redocly"
    cache_build "$RELEASE" install
fi
echo "$CACHE/$RELEASE"
