#!/usr/bin/env python3
"""prometheus.py MBUSHAT: a real Prometheus (Debian's package) scrapes `mbushat demo` as `config/prometheus.yml` says.
promtool must have nothing to say of the metrics or of that file, and every query of `config/grafana.json` must find
something, but for the one that lists silent meters."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "../../config")
SILENT = "mbushat_meter_up == 0"


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def get(url, **headers):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20).read().decode()


def promtool(*arguments, text=None):
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
    if done.returncode or done.stderr:
        sys.exit(f"FAIL: promtool {' '.join(arguments)}: {done.stdout}{done.stderr}")


def queries():
    with open(f"{CONFIG}/grafana.json", encoding="utf-8") as file:
        for panel in json.load(file)["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"].replace("$meter", ".*")


def ask(url, query):
    answer = json.loads(get(f"{url}/api/v1/query?" + urllib.parse.urlencode({"query": query})))
    return answer["data"]["result"]


with tempfile.TemporaryDirectory(prefix="mbushat-prometheus-", ignore_cleanup_errors=True) as folder:
    demo = subprocess.Popen([sys.argv[1], "demo"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            env={**os.environ, "TMPDIR": folder})
    page = re.search(r"http://\S+/", demo.stdout.readline())[0]
    with open(f"{CONFIG}/prometheus.yml", encoding="utf-8") as file:
        config = file.read()
    config = config.replace("localhost:6287", page.split("/")[2]).replace("30s", "2s")
    with open(f"{folder}/prometheus.yml", "w", encoding="utf-8") as file:
        file.write(config)
    port = free_port()
    prometheus = subprocess.Popen(
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        promtool("check", "config", "--syntax-only", f"{folder}/prometheus.yml") if "--syntax-only" in subprocess.run(
            ["promtool", "check", "config", "--help"], capture_output=True, text=True).stdout else promtool(
            "check", "config", f"{folder}/prometheus.yml")
        time.sleep(40)
        promtool("check", "metrics", text=get(f"{page}metrics"))
        found = [(title, query, len(ask(f"http://127.0.0.1:{port}", query))) for title, query in queries()]
        for title, query, count in found:
            print(f"{count:3} series  {title}: {query}")
        if empty := [query for _, query, count in found if not count and query != SILENT]:
            sys.exit(f"FAIL: these queries find nothing: {empty}")
        targets = json.loads(get(f"http://127.0.0.1:{port}/api/v1/targets"))["data"]["activeTargets"]
        print(f"scraped in {targets[0]['lastScrapeDuration'] * 1000:.1f} ms, health {targets[0]['health']}")
    finally:
        for process in (prometheus, demo):
            process.send_signal(signal.SIGINT)
            process.wait(20)
