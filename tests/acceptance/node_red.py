#!/usr/bin/env python3
"""node_red.py MBUSHAT [--node-red HOST:PORT] [--broker HOST:PORT]: the example flow in a fresh Node-RED.

`config/node-red-flow.json` is imported through Node-RED's admin API (its flows are replaced: use a
Node-RED to throw away), with the broker's address set. `mbushat run` reads a simulated heat meter.
Checks that no node is missing, that readings arrive once and split by unit, that the page shows the
gauge and the chart, and that the button makes the agent read. Standard library only, plus
mosquitto_pub and mosquitto_sub."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("mbushat")
parser.add_argument("--node-red", default="127.0.0.1:1880")
parser.add_argument("--broker", default="127.0.0.1:1883")
args = parser.parse_args()
host, port = args.broker.split(":")
agent = None


def ask(path, body=None, method=None):
    request = urllib.request.Request(f"http://{args.node_red}{path}", method=method,
                                     data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json", "Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def check(what, ok, detail=""):
    if not ok:
        sys.exit(f"FAIL: {what} {detail}")
    print(f"ok   {what}", flush=True)


def until(what, condition, seconds=40):
    start = time.time()
    while not (value := condition()):
        if time.time() - start > seconds:
            sys.exit(f"FAIL: {what}: not within {seconds} s")
        time.sleep(0.3)
    print(f"ok   {what} ({time.time() - start:.1f} s)", flush=True)
    return value


def page():
    try:
        return ask("/mbushat")
    except OSError:
        return ""


def count(text):
    return int(text.split("last ")[1].split(" ")[0])


def heard(topic, act):
    """Whether a message comes on the topic after `act`."""
    with subprocess.Popen(["mosquitto_sub", "-h", host, "-p", port, "-t", topic, "-C", "1", "-W", "15", "-R"],
                          stdout=subprocess.PIPE, text=True) as subscriber:
        time.sleep(1)
        act()
        return subscriber.communicate()[0]


def main(folder):
    global agent
    flow = json.load(open(os.path.join(HERE, "../../config/node-red-flow.json"), encoding="utf-8"))
    known = {kind for node in json.loads(ask("/nodes")) for kind in node["types"] if node["enabled"]}
    wanted = {node["type"] for node in flow} - {"tab"}
    check(f"a fresh Node-RED has all {len(wanted)} kinds of node", wanted <= known, str(wanted - known))
    for node in flow:
        if node["type"] == "mqtt-broker":
            node["broker"], node["port"] = host, port
    ask("/flows", flow, "POST")
    check("the flow is imported whole", len(json.loads(ask("/flows"))) == len(flow))
    with open(os.path.join(folder, "bus.toml"), "w", encoding="utf-8") as file:
        file.write('baud = 9600\n[[meter]]\nmodel = "heat"\naddress = 5\nid = "67200512"\n')
    config = os.path.join(folder, "mbushat.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[mqtt]\nurl = "mqtt://{host}:{port}"\n[store]\ndirectory = "{folder}/store"\n'
                   f'[[bus]]\nname = "wire"\nport = "sim:{folder}/bus.toml"\nbaud = 9600\n'
                   '[[meter]]\nname = "heat"\naddress = 5\ninterval = "5s"\n')
    agent = subprocess.Popen([args.mbushat, "run", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = until("the page shows a value in W", lambda: "Heat meter, power" in page() and ">W<" in page() and page())
    until("the chart grows", lambda: count(page()) == 100 or count(page()) >= count(first) + 2)
    check("the gauge has a length", 'stroke-dasharray="0 100"' not in first or ">0<" in first)
    old = heard("mbushat/heat/reading", lambda: None)
    check("a reading came", old)
    time.sleep(1)
    agent.terminate()
    agent.wait(30)
    before = page()
    subprocess.run(["mosquitto_pub", "-h", host, "-p", port, "-t", "mbushat/heat/reading", "-s"], input=old, text=True, check=True)
    time.sleep(1)
    check("the same reading again is not counted", page() == before)
    new = json.dumps({**json.loads(old), "seq": json.loads(old)["seq"] + 1000})
    subprocess.run(["mosquitto_pub", "-h", host, "-p", port, "-t", "mbushat/heat/reading", "-s"], input=new, text=True, check=True)
    until("one with a new number is", lambda: page() != before, 5)
    asked = heard("mbushat/heat/read", lambda: ask("/inject/mbushat_button", {}, "POST"))
    check("the button asks for a reading", asked.strip() == "{}", asked)


with tempfile.TemporaryDirectory(prefix="mbushat-node-red-") as temporary:
    try:
        main(temporary)
    finally:
        if agent is not None and agent.poll() is None:
            agent.terminate()
            agent.wait(30)
print("all as promised")
