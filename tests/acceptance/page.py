#!/usr/bin/env python3
"""page.py MBUSHAT --axe AXE.MIN.JS [--pictures DIR]

Uses the page of `mbushat demo` as a person does, in a headless Chromium: values change without reloading, a meter
is read, a bus is searched, the wire watched, a telegram opened and another decoded, the doctor asked; by mouse, by
keyboard alone, without scripts, dark and light, on a phone. axe-core (`npm install axe-core`) looks at every page.
Fails where it finds a violation, where a request leaves the machine, or where the console has an error. Needs
chromium; else standard library only."""
import argparse
import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from ha_api import WebSocket

SIZES = {"phone": (390, 844), "desk": (1280, 900)}
TELEGRAM = "68 03 03 68 53 05 50 A8 16"


class Browser:
    """A headless Chromium over its DevTools protocol, and what its pages did."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
             "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={folder}/browser",
             "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = until("the browser runs", lambda: read(f"{folder}/browser/DevToolsActivePort").split("\n")[0])
        pages = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20).read())
        page = next(page for page in pages if page["type"] == "page")
        address = re.sub(r"ws://[^/]*", "", page["webSocketDebuggerUrl"])
        self.socket, self.number, self.requests, self.errors = WebSocket(f"127.0.0.1:{port}", address), 0, [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method, **parameters):
        self.number += 1
        self.socket.send({"id": self.number, "method": method, "params": parameters})
        while (answer := self.socket.receive()).get("id") != self.number:
            self.note(answer)
        if "error" in answer:
            sys.exit(f"FAIL: {method}: {answer['error']}")
        return answer["result"]

    def note(self, event):
        what, said = event.get("method"), event.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(said["exceptionDetails"])[:500])
        elif what == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.errors.append(f"{said['entry']['text']} {said['entry'].get('url')}")
        elif what == "Runtime.consoleAPICalled" and said["type"] == "error":
            self.errors.append(json.dumps(said["args"])[:500])

    def run(self, script):
        answer = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            sys.exit(f"FAIL: {script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def open(self, path):
        self("Page.navigate", url=base + path)
        until(f"/{path} is there", lambda: self.run(f"location.href === {json.dumps(base + path)} && document.readyState === 'complete'"))

    def wait(self, what, script, seconds=30):
        return until(what, lambda: self.run(script), seconds)

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

    def size(self, name):
        width, height = SIZES[name]
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=name == "phone")

    def colours(self, scheme):
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, name):
        if args.pictures:
            whole = self("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
            with open(os.path.join(args.pictures, f"{name}.png"), "wb") as file:
                file.write(base64.b64decode(whole))


def read(file):
    try:
        with open(file, encoding="utf-8") as text:
            return text.read()
    except OSError:
        return ""


def until(what, condition, seconds=30):
    start = time.time()
    while not (value := condition()):
        if time.time() - start > seconds:
            sys.exit(f"FAIL: {what}: not within {seconds} s")
        time.sleep(0.1)
    return value


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


def looked_at(browser):
    axe = read(args.axe)
    for scheme in ("light", "dark"):
        browser.colours(scheme)
        for size in SIZES:
            browser.size(size)
            for name, path in {"meters": "", "meter": "meter/heat_meter", "bus": "bus/demo", "decode": "decode", "doctor": "doctor"}.items():
                browser.open(path)
                browser.run("document.querySelectorAll('details').forEach((part) => part.open = true)")
                browser.picture(f"{name}-{size}-{scheme}")
                wide = browser.run("document.documentElement.scrollWidth - innerWidth")
                if wide > 0:
                    sys.exit(f"FAIL: {name} is {wide} pixels too wide for a {size}")
                browser.run(axe + "; 0")
                found = json.loads(browser.run("axe.run().then((result) => JSON.stringify(result.violations))"))
                for violation in found:
                    nodes = "\n".join(f"{node['html']}: {node['failureSummary']}" for node in violation["nodes"][:5])
                    print(f"{name} {size} {scheme}: {violation['id']}: {violation['help']}\n{nodes}")
                if found:
                    sys.exit(f"FAIL: axe-core finds {len(found)} violations")
    well("axe-core finds no violation on any page, dark or light, on a phone or a desk")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("mbushat")
parser.add_argument("--axe", required=True, help="axe.min.js of axe-core")
parser.add_argument("--pictures", help="a folder that gets a picture of every page")
args = parser.parse_args()
with tempfile.TemporaryDirectory(prefix="mbushat-page-", ignore_cleanup_errors=True) as temporary:
    demo = subprocess.Popen([args.mbushat, "demo"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            env={**os.environ, "TMPDIR": temporary})
    base = re.search(r"http://\S+/", demo.stdout.readline())[0]
    browser = Browser(temporary)
    try:
        browser.size("desk")
        browser.colours("light")
        by_mouse(browser)
        other_pages(browser)
        by_keyboard(browser)
        without_scripts(browser)
        looked_at(browser)
        browser.run("0")
        if away := [url for url in browser.requests if not url.startswith((base, "data:"))]:
            sys.exit(f"FAIL: requests leave the machine: {away[:5]}")
        well(f"{len(browser.requests)} requests, none of which leaves the machine")
        if browser.errors:
            sys.exit(f"FAIL: errors in the console: {browser.errors[:5]}")
        well("no error in the console")
    finally:
        browser.process.terminate()
        demo.send_signal(signal.SIGINT)
        demo.wait(20)
