#!/usr/bin/env python3
"""half_open.py MBUSHAT: a TCP gateway loses its power and returns, and no packet tells of it: neither
FIN nor RST, since a route swallows what the gateway's side sends. After 3, 8 and 20 s away a whole
telegram must be read within 5 s of its return. Exits 1 where it is not; says SKIPPED where this
machine allows no network namespaces to its user."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

TELEGRAM = 77  # bytes of the simulated meter's, and its E5
NEAR, FAR = "10.9.0.1", "10.9.0.2"

mbushat = os.path.abspath(sys.argv[1])
if "inside" not in sys.argv:
    inside = ["unshare", "-rnm", sys.executable, os.path.abspath(__file__), mbushat, "inside"]
    if not all(map(shutil.which, ["unshare", "nsenter", "ip"])) or subprocess.run(inside[:2] + ["true"]).returncode:
        sys.exit(print("SKIPPED: no network namespaces here"))
    sys.exit(subprocess.run(inside).returncode)

place = pathlib.Path(tempfile.mkdtemp(prefix="mbushat-half-open-"))
started = []


def start(*command, **more):
    started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, **more))
    return started[-1]


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def far(*command):
    return ["nsenter", "-t", str(other.pid), "-n", *command]


def gateway():
    command = [mbushat, "simulate", str(place / "segment.toml"), "--tcp", f"{FAR}:10001"]
    return start(*far(*command), stderr=subprocess.DEVNULL)


def heard():
    """Bytes that the agent has read so far."""
    return sum(len(line.split()) for line in re.findall(r"<- ([0-9A-F ]+)", (place / "log").read_text()))


def wait_for_telegram(since, seconds):
    begin = time.monotonic()
    while heard() < since + TELEGRAM:
        if time.monotonic() - begin > seconds:
            sys.exit(f"FAIL: no telegram within {seconds} s:\n{(place / 'log').read_text()[-2000:]}")
        time.sleep(0.05)
    return time.monotonic() - begin


try:
    other = start("unshare", "-n", "sleep", "600")
    time.sleep(0.5)
    ip("link", "add", "name", "near", "type", "veth", "peer", "name", "far")
    ip("link", "set", "far", "netns", str(other.pid))
    ip("addr", "add", f"{NEAR}/24", "dev", "near")
    ip("link", "set", "near", "up")
    for words in (["addr", "add", f"{FAR}/24", "dev", "far"], ["link", "set", "far", "up"]):
        subprocess.run(far("ip", *words), check=True)
    (place / "segment.toml").write_text('baud = 9600\n[[meter]]\nmodel = "heat"\naddress = 1\n')
    (place / "mbushat.toml").write_text(
        f'[store]\ndirectory = "{place}/store"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n'
        f'[[bus]]\nname = "b"\nport = "tcp://{FAR}:10001"\nbaud = 9600\n'
        '[[meter]]\nname = "m"\naddress = 1\ninterval = "1s"\n'
    )
    box = gateway()
    time.sleep(1)
    with open(place / "log", "w") as log:
        environment = os.environ | {"RUST_LOG": "info,mbushat::bus::drive=trace", "NO_COLOR": "1"}
        start(mbushat, "run", "--config", str(place / "mbushat.toml"), stderr=log, env=environment)
    wait_for_telegram(0, 10)
    for away in (3, 8, 20):
        subprocess.run(far("ip", "route", "add", "blackhole", f"{NEAR}/32"), check=True)
        box.kill()
        box.wait()
        time.sleep(away)
        box = gateway()
        time.sleep(0.3)
        before = heard()
        subprocess.run(far("ip", "route", "del", "blackhole", f"{NEAR}/32"), check=True)
        print(f"away {away:>2} s: read {wait_for_telegram(before, 5):.1f} s after the return")
        time.sleep(3)
    print("PASS")
finally:
    for process in reversed(started):
        process.kill()
    shutil.rmtree(place, ignore_errors=True)
