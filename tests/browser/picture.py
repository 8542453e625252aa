"""Takes the picture of the README from a running system: picture.py PROGRAM PICTURE [SECONDS]

Starts `PROGRAM demo`, lets it work for SECONDS (240 if absent), signs in with the link that it prints, and saves the
overview as it is then. Fails when the picture would be larger than a README should load.
"""

import os
import re
import subprocess
import sys
import time

from playwright.sync_api import sync_playwright

PROGRAM, PICTURE = sys.argv[1], sys.argv[2]
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 240
MOST_BYTES = 200_000
SIZE = {"width": 1200, "height": 1130}


def link_of(demo):
    """The link that signs in, which is the last thing that the demo prints before it waits."""
    for line in demo.stderr:
        found = re.search(r"http://\S+/sign-in/\S+", line)
        if found:
            return found.group()
    sys.exit("the demo ended without a link to its dashboard")


def take(link):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(link)
        page.click("button.main")
        page.wait_for_url("**/overview")
        page.wait_for_selector("figure.chart")
        page.screenshot(path=PICTURE)
        browser.close()


demo = subprocess.Popen([PROGRAM, "demo"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
try:
    link = link_of(demo)
    time.sleep(SECONDS)
    take(link)
finally:
    demo.terminate()
    demo.wait()
if os.path.getsize(PICTURE) > MOST_BYTES:
    sys.exit(f"{PICTURE} has {os.path.getsize(PICTURE)} bytes, more than {MOST_BYTES}")
print(f"{PICTURE}: {os.path.getsize(PICTURE)} bytes")
