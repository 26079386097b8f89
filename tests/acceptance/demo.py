#!/usr/bin/env python3
"""demo.py MBUSHAT: `mbushat demo` as a stranger runs it. Within 20 s it must print a reading of
each of its four meters and a line to paste for subscribing; that line must work while the demo
runs; Ctrl-C must end it with status 0. Exits 1 on the first thing that is not so."""
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

demo = subprocess.Popen([sys.argv[1], "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
lines = []
started = time.monotonic()


def collect():
    for line in demo.stdout:
        lines.append(line)


def wait(what, seconds, found):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        if demo.poll() is not None:
            break
        time.sleep(0.1)
    demo.kill()
    sys.exit(f"FAIL: {what}; the demo printed:\n{''.join(lines)}")


def paste():
    """The `mosquitto_sub …` line."""
    return next((m[0] for line in lines if (m := re.search(r"mosquitto_sub .*", line))), None)


threading.Thread(target=collect, daemon=True).start()
command = wait("no line to paste for subscribing", 20, paste)
heard = subprocess.run([*shlex.split(command), "-W", "15"], capture_output=True, text=True)
topics = sorted(set(re.findall(r"^mbushat/(\w+)/reading ", heard.stdout, re.M)))
if len(topics) < 4:
    demo.kill()
    sys.exit(f"FAIL: {command}: heard of {topics} only\n{heard.stdout}{heard.stderr}")
wait("not every meter's reading was printed", 20, lambda: all(any(t in line for line in lines) for t in topics))
print(f"four meters ({', '.join(topics)}) within {time.monotonic() - started:.1f} s")
demo.send_signal(signal.SIGINT)
try:
    status = demo.wait(5)
except subprocess.TimeoutExpired:
    demo.kill()
    sys.exit("FAIL: Ctrl-C did not end the demo within 5 s")
if status != 0:
    sys.exit(f"FAIL: exit status {status} after Ctrl-C; it printed:\n{''.join(lines)}")
print("Ctrl-C ended it with status 0")
