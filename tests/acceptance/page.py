#!/usr/bin/env python3
"""page.py MBUSHAT --axe AXE.MIN.JS [--pictures DIR]

Uses the page of `mbushat demo` as a person does, in a headless Chromium: values change without reloading, a meter
is read, a bus is searched, the wire watched, a telegram opened and another decoded, the doctor asked; by mouse, by
keyboard alone, without scripts, dark and light, on a phone; and with `demo --empty` meters that nobody wrote down are
adopted, renamed and forgotten. axe-core (`npm install axe-core`) looks at every page.
Fails where it finds a violation, where a request leaves the machine, or where the console has an error. Needs
chromium; else standard library only."""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from browser import Browser, Refused, read, until

SIZES = {"phone": (390, 844, True), "desk": (1280, 900)}
TELEGRAM = "68 03 03 68 53 05 50 A8 16"


class Reader(Browser):
    """A person in front of the browser."""

    def open(self, path):
        self("Page.navigate", url=base + path)
        until(f"/{path} is there", lambda: self.asked(f"location.href === {json.dumps(base + path)} && document.readyState === 'complete'"))

    def wait(self, what, script, seconds=30):
        return until(what, lambda: self.asked(script), seconds)

    def asked(self, script):
        """What a script says; nothing while the browser goes to another page."""
        try:
            return self.run(script)
        except Refused:
            return None

    def click(self, selector):
        self.wait(f"{selector} is there", f"document.querySelector({json.dumps(selector)}) !== null")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key, code):
        text = {"text": "\r"} if key == "Enter" else {}
        self("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def tab_to(self, text):
        for _ in range(60):
            self.press("Tab", 9)
            if self.run("document.activeElement.textContent.trim()") == text:
                return
        sys.exit(f"FAIL: the keyboard does not reach {text}")

    def colours(self, scheme):
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def pictured(self, name):
        if args.pictures:
            self.picture(os.path.join(args.pictures, f"{name}.png"), captureBeyondViewport=True)


def well(what):
    print(f"ok  {what}", flush=True)


def by_mouse(browser):
    browser.open("")
    value = "document.querySelector('.card .values').textContent"
    browser.wait("values are there", f"document.querySelector('.card .values') !== null")
    browser.run(f"window.marker = {value}")
    browser.wait("values change", f"window.marker && {value} !== window.marker")
    well("values change without reloading")
    browser.click(".card a")
    browser.wait("the meter's page", "document.querySelector('#values td b') !== null")
    browser.wait("the chart", "document.querySelector('svg.chart path.line') !== null", 40)
    when = "document.querySelector('#state time').dateTime"
    browser.run(f"window.marker = {when}")
    browser.click("form button")
    browser.wait("the meter is read", f"{when} !== window.marker", 9)
    well("a meter is read with a click")
    browser.click("details summary")
    rows = browser.run("document.querySelector('details[open] .telegram tbody').rows.length")
    well(f"a telegram is explained in {rows} lines")
    browser.open("bus/demo")
    newest = "Number(document.querySelector('#wire tbody tr')?.dataset.number ?? 0)"
    before = browser.run(newest)
    browser.wait("frames come", f"{newest} > {before} + 2")
    well("frames of the wire come as they are sent")
    browser.click("button[value=secondary]")
    browser.wait("the search shows its progress", "document.querySelector('progress') !== null")
    browser.wait("a meter is found", "document.querySelector('#finds tbody tr') !== null", 60)
    found = browser.run("document.querySelector('#finds tbody tr').textContent.replace(/\\s+/g, ' ').trim()")
    well(f"the search finds {found}")
    browser.wait("the search can be ended or is over", "document.querySelector('#search form') !== null")


def other_pages(browser):
    browser.open("decode")
    browser.run(f"document.querySelector('#hex').value = '{TELEGRAM}'")
    browser.click("form button")
    browser.wait("the telegram is explained", "document.body?.textContent.includes('application reset')")
    well("a telegram that is pasted is explained")
    browser.open("doctor")
    browser.click("form button")
    browser.wait("the doctor's findings", "document.querySelectorAll('.findings li').length > 2", 120)
    findings = browser.run("document.querySelectorAll('.findings li').length")
    well(f"the doctor has {findings} findings")


def by_keyboard(browser):
    browser.open("")
    browser.tab_to("Cold water")
    browser.press("Enter", 13)
    browser.wait("the meter's page", "location.pathname.endsWith('/meter/cold_water') && document.querySelector('form button') !== null")
    when = "document.querySelector('#state time').dateTime"
    before = browser.run(when)
    browser.tab_to("Read now")
    browser.press("Enter", 13)
    browser.wait("the meter is read", f"{when} !== {json.dumps(before)}", 9)
    focused = browser.run("document.activeElement.textContent.trim()")
    if focused != "Read now":
        sys.exit(f"FAIL: the keyboard is at {focused!r} after the button was pressed")
    well("the keyboard alone reads a meter")


def without_scripts(browser):
    browser("Emulation.setScriptExecutionDisabled", value=True)
    browser("Page.navigate", url=base + "meter/heat_meter")
    time.sleep(2)
    tree = browser("DOM.getDocument", depth=-1)["root"]
    html = browser("DOM.getOuterHTML", nodeId=tree["nodeId"])["outerHTML"]
    if "Energy" not in html or "<svg class=\"chart\"" not in html:
        sys.exit("FAIL: without scripts the meter's page lacks its values or its chart")
    browser("Emulation.setScriptExecutionDisabled", value=False)
    answer = urllib.request.urlopen(urllib.request.Request(base + "meter/heat_meter/read", method="POST"), timeout=20)
    if not answer.url.endswith("/meter/heat_meter"):
        sys.exit(f"FAIL: a button without scripts leads to {answer.url}")
    well("without scripts values, chart and buttons are there")


def accessible(browser, what):
    browser.run(read(args.axe) + "; 0")
    found = json.loads(browser.run("axe.run().then((result) => JSON.stringify(result.violations))"))
    for violation in found:
        nodes = "\n".join(f"{node['html']}: {node['failureSummary']}" for node in violation["nodes"][:5])
        print(f"{what}: {violation['id']}: {violation['help']}\n{nodes}")
    if found:
        sys.exit(f"FAIL: axe-core finds {len(found)} violations")


TITLE = "<b>Attic</b> & co"


def adopts(browser):
    """Meters that nobody wrote down: found, renamed, forgotten, adopted."""
    browser.open("")
    browser.wait("the search shows its progress", "document.querySelector('#story progress') !== null")
    said = browser.run("document.querySelector('#story').textContent.replace(/\\s+/g, ' ').trim()")
    well(f"the first page tells: {said}")
    browser.pictured("looking")
    accessible(browser, "looking for meters")
    browser.wait("a meter is adopted", "document.querySelector('.card.ok a') !== null", 120)
    name = browser.run("document.querySelector('.card.ok a').getAttribute('href').split('/')[1]")
    well(f"{name} is adopted by itself and read, without reloading")
    browser.open(f"meter/{name}")
    for field, value in {"name": "attic", "title": TITLE, "interval": "10s"}.items():
        browser.run(f"document.querySelector('input[name={field}]').value = {json.dumps(value)}")
    browser.click("form[action$='/change'] button")
    browser.wait("the page of its new name", "location.pathname.endsWith('/meter/attic') && document.readyState === 'complete'")
    browser.wait("its title", f"document.querySelector('h1').textContent === {json.dumps(TITLE)}")
    browser.wait("it is read under its new name", "document.querySelector('#state.ok time') !== null", 60)
    browser.open("")
    card = f"[...document.querySelectorAll('.card h2 a')].some((link) => link.textContent === {json.dumps(TITLE)})"
    browser.wait("its card", card)
    browser.open("meter/attic")
    accessible(browser, "adopted")
    well("it is renamed, and HTML in its title is shown as it is written")
    browser.click("form[action$='/forget'] button")
    browser.wait("the first page", f"location.href === {json.dumps(base)} && document.readyState === 'complete'")
    browser.wait("it is gone", f"!{card}")
    well("it is forgotten")
    browser.open("bus/demo")
    browser.run(f"document.querySelector('input[name=secondary]').value = {json.dumps(name.split('_')[1])}")
    browser.click("button[value=secondary]")
    adopt = "#finds form[action$='/adopt']"
    browser.wait("the search finds it again", f"document.querySelector({json.dumps(adopt)}) !== null", 60)
    browser.wait("the search is over", "document.querySelector('button[value=secondary]') !== null", 60)
    for field, value in {"name": "back", "title": "Back again"}.items():
        browser.run(f"document.querySelector({json.dumps(adopt)}).elements.namedItem('{field}').value = {json.dumps(value)}")
    time.sleep(3)
    kept = browser.run(f"document.querySelector({json.dumps(adopt)}).elements.namedItem('title').value")
    if kept != "Back again":
        sys.exit(f"FAIL: what was typed is gone: {kept!r}")
    browser.pictured("found")
    accessible(browser, "found")
    browser.click(adopt + " button")
    browser.wait("the find is a meter", "[...document.querySelectorAll('#finds a')].some((link) => link.textContent === 'back')")
    browser.open("")
    browser.wait("its card", "document.querySelector('.card a[href=\"meter/back\"]')?.textContent === 'Back again'")
    well("it is found by a search and adopted with a name and a title")


def looked_at(browser):
    for scheme in ("light", "dark"):
        browser.colours(scheme)
        for size in SIZES:
            browser.size(*SIZES[size])
            for name, path in {"meters": "", "meter": "meter/heat_meter", "bus": "bus/demo", "decode": "decode", "doctor": "doctor"}.items():
                browser.open(path)
                browser.run("document.querySelectorAll('details').forEach((part) => part.open = true)")
                browser.pictured(f"{name}-{size}-{scheme}")
                wide = browser.run("document.documentElement.scrollWidth - innerWidth")
                if wide > 0:
                    sys.exit(f"FAIL: {name} is {wide} pixels too wide for a {size}")
                accessible(browser, f"{name} {size} {scheme}")
    well("axe-core finds no violation on any page, dark or light, on a phone or a desk")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("mbushat")
parser.add_argument("--axe", required=True, help="axe.min.js of axe-core")
parser.add_argument("--pictures", help="a folder that gets a picture of every page")
args = parser.parse_args()


def start_demo(folder, *more):
    """The demo, whose first line says where its page is."""
    process = subprocess.Popen([args.mbushat, "demo", *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, env={**os.environ, "TMPDIR": folder})
    return process, re.search(r"http://\S+/", process.stdout.readline())[0]


def end(process):
    process.send_signal(signal.SIGINT)
    process.wait(20)


with tempfile.TemporaryDirectory(prefix="mbushat-page-", ignore_cleanup_errors=True) as temporary:
    browser = Reader(temporary)
    try:
        browser.size(*SIZES["desk"])
        browser.colours("light")
        demo, base = start_demo(temporary)
        try:
            by_mouse(browser)
            other_pages(browser)
            by_keyboard(browser)
            without_scripts(browser)
            looked_at(browser)
            browser("Page.navigate", url="about:blank")
        finally:
            end(demo)
        first = base
        demo, base = start_demo(temporary, "--empty")
        try:
            adopts(browser)
            browser("Page.navigate", url="about:blank")
        finally:
            end(demo)
        if away := [url for url in browser.requests if not url.startswith((first, base, "data:", "about:"))]:
            sys.exit(f"FAIL: requests leave the machine: {away[:5]}")
        well(f"{len(browser.requests)} requests, none of which leaves the machine")
        # the page of a meter may ask for itself once more after it was forgotten
        if errors := [error for error in browser.errors if not error.endswith("/meter/attic")]:
            sys.exit(f"FAIL: errors in the console: {errors[:5]}")
        well("no error in the console")
    finally:
        browser.close()
