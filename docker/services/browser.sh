#!/usr/bin/env bash
# Chromium, and Playwright and axe to drive it, in a directory of their own: browser.sh
#
# Prints the directory: `PYTHONPATH=DIR python3 tests/browser/walk.py` walks through the dashboard.
set -euo pipefail
SERVER=browser
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/process.sh"
source "$here/packages.sh"

RELEASE=playwright==1.65.2
AXE=axe-playwright-python==0.1.8

install() {
    python3 -m pip install --quiet --no-compile --root-user-action=ignore --target "$1" "$RELEASE" "$AXE"
}

packages_need chromium chromium fonts-dejavu-core
if [[ ! -d $CACHE/$RELEASE ]]; then
    python3 -m pip --version >/dev/null 2>&1 || packages_install "pip is missing" python3-pip
    say "downloading $RELEASE"
    cache_build "$RELEASE" install
fi
echo "$CACHE/$RELEASE"
