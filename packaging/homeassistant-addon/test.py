#!/usr/bin/env python3
"""test.py [MBUSHAT]: runs the add-on's run.sh beside a Supervisor of our own and compares the
mbushat.toml it renders; with a mbushat, that one must find it valid too. Needs jq and wget.
Exits 1 at the first thing that is not as promised."""
import http.server
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
MBUSHAT = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else None
TOKEN = "a token"
SERVICE = {"addon": "core_mosquitto", "host": "core-mosquitto", "port": 1883, "ssl": False, "protocol": "3.1.1",
           "username": "addons", "password": 'quote " backslash \\ ü'}
BUS = {"name": "hat", "port": "/dev/ttyAMA0"}
service = SERVICE


class Supervisor(http.server.BaseHTTPRequestHandler):
    """Answers as the real one: 400 where no add-on provides the service."""

    def do_GET(self):
        ok = service and self.path == "/services/mqtt" and self.headers["Authorization"] == f"Bearer {TOKEN}"
        body = json.dumps({"result": "ok", "data": service} if ok else {"result": "error", "message": "Service not enabled"})
        self.send_response(200 if ok else 400)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def check(what, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {what}", flush=True)
    if not ok:
        sys.exit(detail or 1)


def run(folder, options, own=None):
    """What run.sh did: (finished process, rendered file or None)."""
    config, bin_, rendered = (os.path.join(folder, n) for n in ("config", "bin", "mbushat.toml"))
    for d in (config, bin_):
        os.makedirs(d, exist_ok=True)
    with open(os.path.join(folder, "options.json"), "w", encoding="utf-8") as f:
        json.dump(options, f)
    for path in (rendered, os.path.join(config, "mbushat.toml")):
        if os.path.exists(path):
            os.unlink(path)
    if own is not None:
        with open(os.path.join(config, "mbushat.toml"), "w", encoding="utf-8") as f:
            f.write(own)
    # stands for the agent: says how it was called
    with open(os.path.join(bin_, "mbushat"), "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\necho "$@"\n')
    os.chmod(f.name, 0o755)
    env = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "DATA": folder, "CONFIG": config, "no_proxy": "*",
           "SUPERVISOR": f"http://127.0.0.1:{server.server_port}", "SUPERVISOR_TOKEN": TOKEN}
    done = subprocess.run([os.path.join(HERE, "run.sh")], env=env, capture_output=True, text=True, timeout=30)
    return done, rendered if os.path.exists(rendered) else None


def renders(what, options, expected):
    with tempfile.TemporaryDirectory(prefix="mbushat-addon-") as folder:
        done, rendered = run(folder, options)
        check(f"{what}: the agent is started with the rendered file", done.returncode == 0 and done.stdout == f"--config {rendered} run\n", done.stderr)
        check(f"{what}: nobody else may read it", stat.S_IMODE(os.stat(rendered).st_mode) == 0o600)
        with open(rendered, "rb") as f:
            text = f.read()
        check(f"{what}: it says what the options say", tomllib.loads(text.decode()) == {"store": {"directory": "/data"}, "log": {}, **expected}, text.decode())
        if MBUSHAT:
            done = subprocess.run([MBUSHAT, "check", rendered], capture_output=True, text=True, timeout=30)
            check(f"{what}: mbushat check finds it valid", done.returncode == 0, f"{done.stderr}\n{text.decode()}")


server = http.server.HTTPServer(("127.0.0.1", 0), Supervisor)
threading.Thread(target=server.serve_forever, daemon=True).start()

with open(os.path.join(HERE, "config.yaml"), encoding="utf-8") as f:
    schema = set(re.findall(r"^ +(?:- )?([a-z_]+): \S", f.read().split("\nschema:\n")[1], re.M)) | {"meters"}
with open(os.path.join(HERE, "render.jq"), encoding="utf-8") as f:
    used = set(re.findall(r"(?<!\$mqtt)(?:\$o|\(| )\.([a-z_]+)(?=[ |\[)/,?])", f.read())) - {"options", "mqtt", "ssl", "host"}
check("every option of config.yaml is rendered, and no other", schema == used, f"only in config.yaml: {schema - used}; only in render.jq: {used - schema}")

mqtt = {"url": "mqtt://core-mosquitto:1883", "username": "addons", "password": SERVICE["password"]}
renders("the defaults", {"port": "/dev/ttyAMA0", "meters": []}, {"mqtt": mqtt, "bus": [BUS]})
meters = [{"name": "cold_water", "address": 48},
          {"name": "heat", "title": 'Heat "ground\nfloor"', "secondary": "30137315ATS0104", "interval": "1h", "baud": 300,
           "key": "000102030405060708090A0B0C0D0E0F"}]
renders("two meters", {"port": "/dev/ttyAMA0", "meters": meters, "log_level": "debug", "base_topic": "mbushat/house7"},
        {"mqtt": {**mqtt, "base_topic": "mbushat/house7"}, "bus": [BUS], "meter": meters, "log": {"level": "debug"}})
renders("a gateway without the Hat", {"gateway": "tcp://192.0.2.7:10001", "baud": 9600, "hat": False, "meters": meters[:1]},
        {"mqtt": mqtt, "bus": [{"name": "gateway", "port": "tcp://192.0.2.7:10001", "baud": 9600, "hat": False}], "meter": meters[:1]})
renders("a broker of one's own", {"port": "/dev/ttyAMA0", "meters": [], "mqtt_url": "mqtts://broker.example", "mqtt_username": "me", "mqtt_password": ""},
        {"mqtt": {"url": "mqtts://broker.example", "username": "me"}, "bus": [BUS]})
service = {**SERVICE, "ssl": True, "port": 8883}
renders("a broker with TLS", {"port": "/dev/ttyAMA0", "meters": []}, {"mqtt": {**mqtt, "url": "mqtts://core-mosquitto:8883"}, "bus": [BUS]})

service = None
renders("no broker in Home Assistant but one's own", {"port": "/dev/ttyAMA0", "meters": [], "mqtt_url": "mqtt://broker.example"},
        {"mqtt": {"url": "mqtt://broker.example"}, "bus": [BUS]})
with tempfile.TemporaryDirectory(prefix="mbushat-addon-") as folder:
    done, rendered = run(folder, {"port": "/dev/ttyAMA0", "meters": []})
    check("no broker at all: exit 1, and what to do", done.returncode == 1 and rendered is None and "set mqtt_url" in done.stderr, done.stderr)
    done, rendered = run(folder, {"meters": []}, own="[mqtt]\n")
    check("a file of one's own wins", rendered is None and done.stdout == f"--config {folder}/config/mbushat.toml run\n", done.stdout + done.stderr)
print("PASS")
