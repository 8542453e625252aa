"""Walks through the dashboard in a real Chromium: walk.py FACTS

FACTS is a JSON file: `url`, `operator` (a key), `accounts` (role -> username, password), `tenant` and `other` (ids), `canary`
(a text that only `other` has), `waiting` (the id of a job that waits), `failed` (the id of a dead letter), `parent` (of a job that enqueued others), `batch` and `worker` (ids), `hostile` (a script
that stands in names and texts). Prints what is wrong, one line each, and fails if anything is.
"""

import json
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

facts = json.load(open(sys.argv[1]))
URL, TENANT, OTHER = facts["url"], facts["tenant"], facts["other"]
found = []


def wrong(text):
    found.append(text)


def watch(page, who):
    """A console error, a failed request or an alert on any page is a fault."""
    page.on("console", lambda message: message.type == "error" and wrong(f"{who}: {page.url}: console: {message.text}"))
    page.on("pageerror", lambda error: wrong(f"{who}: {page.url}: {error}"))
    page.on("dialog", lambda dialog: (wrong(f"{who}: {page.url}: a script of a text ran"), dialog.dismiss()))
    page.on("response", lambda answer: answer.status >= 500 and wrong(f"{who}: {answer.url}: {answer.status}"))


def member_pages():
    t, kb = f"/t/{TENANT}", f"/t/{TENANT}/kbs/default"
    return [t, f"{t}/jobs", f"{t}/jobs?state=available", f"{t}/jobs?from=2026-01-01T00:00&until=2090-01-01T00:00",
            f"{t}/jobs?batch={facts['batch']}&priority=normal", f"{t}/dead-letters?batch={facts['batch']}",
            f"{t}/jobs/{facts['waiting']}", f"{t}/dead-letters", f"{t}/dead-letters?type=graph.build&reason_code=x",
            f"{t}/jobs/{facts['failed']}", f"{t}/jobs/{facts['parent']}", f"{t}/quarantine", f"{t}/batches", f"{t}/batches/{facts['batch']}", f"{t}/usage", f"{t}/kbs", kb, f"{kb}?status=failed",
            *(f"{kb}/documents/{document}" for document in facts["documents"].values()),
            f"{kb}/documents/{facts['documents']['processed']}/chunks/0",
            f"{kb}/graph", f"{kb}/graph?find=a&entity=Ada+Lovelace", f"{kb}/schedules"]


def steering_pages():
    t = f"/t/{TENANT}"
    return [f"{t}/dead-letters/{facts['failed']}", f"{t}/do/pause", f"{t}/do/cancel-all",
            f"{t}/do/cancel-matching?state=available&created_after=2026-01-01T00:00:00Z",
            f"{t}/do/cancel-matching?batch={facts['batch']}&priority=normal",
            f"{t}/do/retry?job={facts['failed']}", f"{t}/do/retry-matching?type=graph.build",
            f"{t}/do/reschedule?job={facts['waiting']}", f"{t}/do/cancel-batch?batch={facts['batch']}",
            f"{t}/do/empty-kb?kb=default", f"{t}/do/delete-documents?kb=default&status=failed",
            f"{t}/do/pause-schedule?kb=default&schedule=nightly", f"{t}/do/run-schedule?kb=default&schedule=nightly",
            f"{t}/kbs/default/schedules?edit=nightly"]


def operator_pages():
    t = f"/t/{TENANT}"
    lists = [f"/tenants?sort={order}" for order in ("name", "plan", "-created_at", "waiting", "active", "oldest",
                                                    "failed", "worker_time")]
    return ["/overview", *lists, f"/tenants?search={TENANT}&status=active", "/tenants?search=nothing-like-it", "/workers",
            "/audit", t, f"{t}/jobs", f"{t}/jobs/{facts['failed']}", f"{t}/dead-letters", f"{t}/kbs", f"{t}/do/cap",
            f"/do/stop-fetching?worker={facts['worker']}", f"{t}/do/suspend", f"{t}/do/pause?back=/tenants", f"{t}/do/retry?job={facts['failed']}"]


def sign_in(page, username, password):
    page.goto(f"{URL}/sign-in")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password)
    page.click("button.main")
    page.wait_for_url("**/t/**")


def sign_in_with_key(page, key):
    page.goto(f"{URL}/sign-in")
    page.fill("input[name=key]", key)
    page.click("text=Sign in with a key")
    page.wait_for_url(lambda url: "sign-in" not in url)


def check(page, path, who, axe=None):
    answer = page.goto(URL + path)
    if answer.status != 200:
        wrong(f"{who}: {path}: {answer.status}")
        return
    html = page.content()
    if who != "operator" and facts["canary"] in html:
        wrong(f"{who}: {path}: shows what is another tenant's")
    if page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"):
        wrong(f"{who}: {path}: is wider than the window of {page.viewport_size['width']}")
    if not page.evaluate("document.querySelector('h1') && document.title.includes('Tenantry')"):
        wrong(f"{who}: {path}: has no heading or no title")
    if axe:
        for violation in axe.run(page).response["violations"]:
            targets = [node["target"] for node in violation["nodes"]][:3]
            wrong(f"{who}: {path}: axe {violation['id']}: {violation['help']} {targets}")


def look(browser, who, state, pages):
    """Every page, at two widths, light and dark; axe judges each once in both schemes."""
    axe = Axe()
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            context = browser.new_context(storage_state=state, color_scheme=scheme,
                                          viewport={"width": width, "height": 900})
            page = context.new_page()
            watch(page, f"{who} {width} {scheme}")
            for path in pages:
                check(page, path, who, axe if width == 1280 else None)
            context.close()


def refuses_foreign_tenant(page, who):
    for path in (f"/t/{OTHER}", f"/t/{OTHER}/jobs", f"/t/{OTHER}/kbs/default", f"/t/{OTHER}/do/pause"):
        status = page.goto(URL + path).status
        if status not in (403, 404):
            wrong(f"{who}: {path}: {status}")
        if facts["canary"] in page.content():
            wrong(f"{who}: {path}: shows what is another tenant's")


def document_says_why(browser, state):
    """A document that waits says why, one that failed too, with a way to start it again; a text leads to its entities."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    watch(page, "ADMIN, documents")
    path = f"{URL}/t/{TENANT}/kbs/default/documents/"
    page.goto(path + facts["documents"]["pending"])
    if "tenant_paused" not in page.text_content("main"):
        wrong("a document that waits does not say that its tenant is paused")
    page.goto(path + facts["documents"]["failed"])
    if "entities_limit_reached" not in page.text_content("main") or facts["failed"] not in page.get_attribute("a:has-text('Retry')", "href"):
        wrong("a document that failed does not say why, or cannot be started again")
    page.goto(f"{URL}/t/{TENANT}/kbs/default/graph?entity=Ada+Lovelace")
    page.click("#chosen h3:has-text('Said by') + ul a")
    page.click("th a:has-text('Ada Lovelace')")
    if page.text_content("#chosen h2") != "Ada Lovelace":
        wrong("a chunk does not lead to the entities that it mentions")
    context.close()


def works_without_javascript(browser, state):
    context = browser.new_context(storage_state=state, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{URL}/t/{TENANT}")
    page.click("a.button:has-text('Pause')")
    page.fill("input[name=reason]", "without JavaScript")
    page.click("button.main")
    if "Paused." not in page.text_content(".notice"):
        wrong("ADMIN without JavaScript: pausing does not say that it happened")
    page.click("a.button:has-text('Resume')")
    page.click("button.main")
    if "Resumed." not in page.text_content(".notice"):
        wrong("ADMIN without JavaScript: resuming does not say that it happened")
    context.close()


def works_by_keyboard(browser, state):
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    page.goto(f"{URL}/t/{TENANT}")
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.textContent") != "Skip to the content":
        wrong("ADMIN: the first Tab does not lead to the link that skips the navigation")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Pause":
            break
    else:
        wrong("ADMIN: Pause is not reached by Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/do/pause*")
    context.close()


def follows(browser, state):
    """An upload shows by itself on a page that was open before, and drag and drop is not the only way."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    watch(page, "ADMIN")
    page.goto(f"{URL}/t/{TENANT}/kbs/default")
    other = context.new_page()
    other.goto(f"{URL}/t/{TENANT}/kbs/default")
    other.set_input_files("input[type=file]", {"name": "by-hand.md", "mimeType": "text/markdown",
                                               "buffer": b"Mary Somerville met Ada Lovelace."})
    other.click("text=Upload")
    other.locator("output", has_text="Accepted").wait_for()
    page.get_by_text("by-hand.md").wait_for(timeout=30_000)
    context.close()


def keeps_schedules(browser, state):
    """A schedule is made, paused, fired, changed and deleted from its page."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    watch(page, "ADMIN")
    page.goto(f"{URL}/t/{TENANT}/kbs/default/schedules")
    for verb, said in [("Pause", "paused"), ("Resume", "resumed"), ("Run now", "fired")]:
        page.click(f"td.acts a:has-text('{verb}')")
        page.fill("input[name=reason]", verb)
        page.click("form:not([action]) button")
        if said not in page.text_content(".notice"):
            wrong(f"ADMIN: {verb}: {page.text_content('.notice')}")
    page.click("td.acts a:has-text('Edit')")
    page.fill("input[name=cron]", "30 4 * * *")
    page.click("button.main")
    if "30 4 * * *" not in page.text_content("tbody"):
        wrong("ADMIN: a changed schedule does not show its new times")
    context.close()


def make_schedule(browser, state):
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    page.goto(f"{URL}/t/{TENANT}/kbs/default/schedules")
    for field, value in [("name", "nightly"), ("cron", "0 3 * * *"), ("time_zone", "UTC")]:
        page.fill(f"input[name={field}]", value)
    page.click("button.main")
    page.wait_for_selector("text=nightly")
    context.close()


def operator_steers(browser, state):
    """From the list of tenants, with a reason that the audit log shows, and back to the list."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    watch(page, "operator")
    row = f"tr:has(a[href='/t/{OTHER}'])"
    for verb, said, after in [("Pause", "Paused.", "Resume"), ("Resume", "Resumed.", "Pause")]:
        page.goto(f"{URL}/tenants?search={OTHER}&sort=name")
        page.click(f"{row} td.acts a:has-text('{verb}')")
        page.fill("input[name=reason]", f"the operator wants to {verb}")
        page.click("form[method=post]:not([action]) button.main")
        if page.text_content(".notice") != said or "/tenants" not in page.url:
            wrong(f"operator: {verb}: {page.url}: {page.text_content('.notice')}")
        page.locator(f"{row} td.acts a", has_text=after).wait_for(timeout=20_000)
    page.goto(f"{URL}/audit")
    if "the operator wants to Pause" not in page.text_content("tbody"):
        wrong("operator: the reason is not in the audit log")
    context.close()


def finds_the_jobs_of_a_batch(browser, state):
    """From the batch to its jobs and from a job back to those of its batch; what was chosen stays in the form."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    watch(page, "ADMIN")
    page.goto(f"{URL}/t/{TENANT}/batches/{facts['batch']}")
    page.click("a.button:has-text('Jobs that are on their way')")
    if page.locator("tbody tr:has-text('document.ingest')").count() != 1:
        wrong(f"ADMIN: {page.url}: the batch has one job, and it is not the only one shown")
    if page.input_value("input[name=batch]") != facts["batch"]:
        wrong("ADMIN: the list of a batch's jobs does not say that it is one")
    page.select_option("select[name=priority]", "low")
    page.click("form.filter button")
    if page.locator("tbody a").count() != 0:
        wrong("ADMIN: the jobs of low priority are not the only ones shown")
    page.goto(f"{URL}/t/{TENANT}/jobs/{facts['waiting']}")
    page.click("dt:has-text('Batch') + dd a")
    if f"batch={facts['batch']}" not in page.url:
        wrong(f"ADMIN: a job does not lead to its batch: {page.url}")
    context.close()


def stops_a_worker(browser, state):
    """A worker is told to stop fetching, says so by itself on a page that is open, and is told to go on."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    watch(page, "operator")
    page.goto(f"{URL}/workers")
    page.click("a.button:has-text('Stop fetching')")
    if "in 24 slots" not in page.text_content(".touched"):
        wrong(f"operator: stopping a worker says: {page.text_content('.touched')}")
    page.fill("input[name=reason]", "the disk is ill")
    page.click("form[method=post]:not([action]) button")
    if "stops fetching" not in page.text_content(".notice") or "/workers" not in page.url:
        wrong(f"operator: {page.url}: {page.text_content('.notice')}")
    row = page.locator("tr:has-text('not fetching')")
    row.filter(has_text="the disk is ill").filter(has_not_text="takes note").wait_for(timeout=30_000)
    page.click("a.button:has-text('Fetch again')")
    page.click("form[method=post]:not([action]) button")
    page.locator("tr:has(.chip:text-is('fetching'))").filter(has_not_text="takes note").wait_for(timeout=30_000)
    page.goto(f"{URL}/audit")
    if "the disk is ill" not in page.text_content("tbody"):
        wrong("operator: why a worker was stopped is not in the audit log")
    context.close()


def shows_the_last_hour(browser, state):
    """Charts have what workers did, a title and a description, and come as tables too."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    watch(page, "operator")
    page.goto(f"{URL}/overview")
    page.locator("figure:has-text('Throughput') rect").first.wait_for(timeout=30_000, state="attached")
    for name in ("Throughput", "Waits", "Failures", "Worker time by tenant"):
        chart = page.locator(f"svg:has(title:text-is('{name}'))")
        if chart.count() != 1 or "last hour" not in chart.locator("desc").text_content():
            wrong(f"operator: the chart {name} is not there, or does not describe itself")
    page.click("figure:has-text('Throughput') summary")
    if page.locator("figure:has-text('Throughput') tbody tr").count() == 0:
        wrong("operator: a chart is no table")
    context.close()


def refuses_forged_requests(browser, state):
    context = browser.new_context(storage_state=state)
    request = context.request
    path = f"{URL}/t/{TENANT}/do/pause"
    for headers, form, what in [
        ({"Origin": "https://evil.example"}, {"csrf": "x"}, "another origin"),
        ({"Sec-Fetch-Site": "cross-site"}, {"csrf": "x"}, "another site"),
        ({}, {"csrf": "x"}, "a wrong token"),
        ({}, {}, "no token"),
    ]:
        status = request.post(path, headers=headers, form=form, max_redirects=0).status
        if status != 403:
            wrong(f"ADMIN: a form with {what}: {status}")
    context.close()


def viewer_cannot_steer(page):
    page.goto(f"{URL}/t/{TENANT}")
    if page.query_selector("a.button:has-text('Pause')"):
        wrong("VIEWER: is shown a button that is not theirs")
    page.goto(f"{URL}/t/{TENANT}/do/pause")
    page.click("button.main")
    if "Paused" in page.content() or not page.query_selector("[role=alert]"):
        wrong("VIEWER: pausing is not refused in words")


def main():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        states = {}
        for role, (username, password) in facts["accounts"].items():
            context = browser.new_context()
            page = context.new_page()
            watch(page, role)
            sign_in(page, username, password)
            states[role] = context.storage_state()
            # Refusals are errors to the console of a browser.
            unwatched = context.new_page()
            refuses_foreign_tenant(unwatched, role)
            if role == "VIEWER":
                viewer_cannot_steer(unwatched)
            context.close()
        context = browser.new_context()
        page = context.new_page()
        sign_in_with_key(page, facts["operator"])
        states["operator"] = context.storage_state()
        context.close()
        make_schedule(browser, states["ADMIN"])
        look(browser, "ADMIN", states["ADMIN"], member_pages() + steering_pages())
        look(browser, "VIEWER", states["VIEWER"], member_pages())
        document_says_why(browser, states["ADMIN"])
        shows_the_last_hour(browser, states["operator"])
        look(browser, "operator", states["operator"], operator_pages())
        operator_steers(browser, states["operator"])
        stops_a_worker(browser, states["operator"])
        finds_the_jobs_of_a_batch(browser, states["ADMIN"])
        keeps_schedules(browser, states["ADMIN"])
        works_without_javascript(browser, states["ADMIN"])
        works_by_keyboard(browser, states["ADMIN"])
        follows(browser, states["ADMIN"])
        refuses_forged_requests(browser, states["ADMIN"])
        browser.close()


try:
    main()
finally:
    print("\n".join(found))
sys.exit(1 if found else 0)
