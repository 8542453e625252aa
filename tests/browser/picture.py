"""Takes the picture of the README from a running system: picture.py PROGRAM PICTURE [MINUTES]

Starts `PROGRAM demo`, signs in with the link that it prints, and watches the overview until its charts show MINUTES (5 if
absent) and jobs run and wait. Saves it as it is then, down to the end of a card. Fails when no such moment comes, when the
page is wider than its window, or when the picture would be larger than a README should load.
"""

import os
import re
import subprocess
import sys

from playwright.sync_api import sync_playwright

PROGRAM, PICTURE = sys.argv[1], sys.argv[2]
MINUTES = int(sys.argv[3]) if len(sys.argv) > 3 else 5
PATIENCE_MS = (MINUTES + 4) * 60_000
MOST_BYTES = 200_000
WIDTH = 1200
# The last card of the picture.
LAST = "Who had the workers"

# What the overview says, as a stranger reads it: how many run and wait, and the minutes in which jobs ended.
SAID = """() => {
    const tile = name => {
        const found = [...document.querySelectorAll('.tiles li')].find(li => li.querySelector('span').textContent === name);
        return Number(found.querySelector('strong').textContent.replace(/\\s/g, ''));
    };
    // Of throughput, which is the first; its table has a row for each minute in which a job ended.
    const minutes = document.querySelector('figure.chart').querySelectorAll('tbody tr');
    return {
        running: tile('Running'), waiting: tile('Waiting'), workers: tile('Workers'),
        minutes: minutes.length,
    };
}"""
# Busy enough that no tile says 0 where a running system would not.
IS_BUSY = f"(minutes) => {{ const said = ({SAID})(); return said.running > 0 && said.waiting > 9 && said.minutes >= minutes; }}"


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
        page = browser.new_page(viewport={"width": WIDTH, "height": 1130}, color_scheme="light")
        page.goto(link)
        page.click("button.main")
        page.wait_for_url("**/overview")
        page.wait_for_selector("figure.chart")
        # The page follows what happens; a moment may pass while it is photographed.
        for _ in range(20):
            page.wait_for_function(IS_BUSY, arg=MINUTES, timeout=PATIENCE_MS)
            height = page.evaluate(
                "last => { const card = [...document.querySelectorAll('section.card')]"
                ".find(card => card.querySelector('h2')?.textContent === last);"
                " return Math.ceil(card.getBoundingClientRect().bottom + scrollY) + 16; }", LAST)
            page.set_viewport_size({"width": WIDTH, "height": height})
            page.screenshot(path=PICTURE)
            if page.evaluate(IS_BUSY, MINUTES):
                break
        else:
            sys.exit("the demo was never busy for as long as a picture takes")
        said = page.evaluate(SAID)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            sys.exit(f"the page is wider than {WIDTH}")
        browser.close()
    return said


demo = subprocess.Popen([PROGRAM, "demo"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
try:
    said = take(link_of(demo))
finally:
    demo.terminate()
    demo.wait()
if os.path.getsize(PICTURE) > MOST_BYTES:
    sys.exit(f"{PICTURE} has {os.path.getsize(PICTURE)} bytes, more than {MOST_BYTES}")
print(f"{PICTURE}: {os.path.getsize(PICTURE)} bytes, {said}")
