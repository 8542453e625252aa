"""How long pages take until something is seen, in a real Chromium: times.py FACTS

FACTS is a JSON file: `url`, `operator` (a key), `busiest` and `some` (ids of tenants). Prints for each page the medians of
several visits: when the answer was there, and when the first content was painted.
"""

import json
import statistics
import sys

from playwright.sync_api import sync_playwright

facts = json.load(open(sys.argv[1]))
URL, BUSIEST, SOME = facts["url"], facts["busiest"], facts["some"]
VISITS = 7
PAGES = [
    "/overview",
    "/tenants",
    "/tenants?sort=waiting",
    f"/tenants?search={SOME[-4:]}",
    "/tenants?search=no+such+tenant",
    "/tenants?status=suspended&sort=-created_at",
    "/tenants?plan=pro&sort=oldest",
    f"/t/{BUSIEST}",
    f"/t/{BUSIEST}/jobs",
    f"/t/{BUSIEST}/jobs?type=document.ingest&state=available",
    f"/t/{BUSIEST}/jobs?kb=default&from=2026-01-01T00:00",
    f"/t/{SOME}",
]
MEASURE = """() => {
  const page = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [page.responseEnd, paint ? paint.startTime : NaN];
}"""


def main():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{URL}/sign-in")
        page.fill("input[name=key]", facts["operator"])
        page.click("text=Sign in with a key")
        page.wait_for_url(lambda url: "sign-in" not in url)
        for path in PAGES:
            times = []
            for _ in range(VISITS):
                answer = page.goto(URL + path)
                assert answer.status == 200, f"{path}: {answer.status}"
                # As a function: a text would need `eval`, which no page allows.
                page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
                times.append(page.evaluate(MEASURE))
            answered, painted = (statistics.median(each) for each in zip(*times))
            print(f"{answered:7.0f} ms answered, {painted:7.0f} ms first paint  {path}", flush=True)
        browser.close()


main()
