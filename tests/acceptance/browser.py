"""A headless Chromium over its DevTools protocol, for the programs of this folder. Standard library only."""
import base64
import json
import re
import subprocess
import sys
import time
import urllib.request

from ha_api import WebSocket


class Refused(Exception):
    """What the browser did not do: a script, for one, while it went to another page."""


class Browser:
    """The browser, and what its pages did."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
             "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={folder}/browser",
             "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = until("the browser runs", lambda: read(f"{folder}/browser/DevToolsActivePort").split("\n")[0], 60)
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
            raise Refused(f"{method}: {answer['error']}")
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

    def size(self, width, height, mobile=False):
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def picture(self, file, **how):
        with open(file, "wb") as picture:
            picture.write(base64.b64decode(self("Page.captureScreenshot", format="png", **how)["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(20)


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
