#!/usr/bin/env python3
"""node_red.py MBUSHAT [--node-red HOST:PORT]: the example flow in a fresh Node-RED.

`config/node-red-flow.json` is imported through the admin API of a Node-RED on this machine (its flows are
replaced: use one to throw away), with the broker's port set and a counter behind the filter. The script
starts a mosquitto of its own, which keeps sessions over a restart, and `mbushat run` with two simulated
meters named like those of `mbushat demo`. Checks that no node is missing, that readings split by unit, that
the page shows the gauge and the chart, and that the button makes the agent read; and counts, over five
restarts of the broker, the readings that were taken, that arrived in Node-RED, and that passed the filter
twice. About four minutes. Standard library only, plus mosquitto, mosquitto_pub and mosquitto_sub."""
import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
RESTARTS, DOWN_S, UP_S = 5, 10, 25
PROBE = "probe"
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("mbushat")
parser.add_argument("--node-red", default="127.0.0.1:1880")
args = parser.parse_args()
host = "127.0.0.1"
with socket.create_server((host, 0)) as free:
    port = str(free.getsockname()[1])
agent = broker = None


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


def start_broker(folder):
    global broker
    config = os.path.join(folder, "mosquitto.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"listener {port} {host}\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
                   "max_queued_messages 100000\n" + ("user root\n" if os.geteuid() == 0 else ""))
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    broker = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(process):
    if process is not None and process.poll() is None:
        process.terminate()
        process.wait(30)


def heard(topic, act):
    """Whether a message comes on the topic after `act`."""
    with subprocess.Popen(["mosquitto_sub", "-h", host, "-p", port, "-t", topic, "-C", "1", "-W", "15", "-R"],
                          stdout=subprocess.PIPE, text=True) as subscriber:
        time.sleep(1)
        act()
        return subscriber.communicate()[0]


def publish(topic, payload):
    subprocess.run(["mosquitto_pub", "-h", host, "-p", port, "-q", "1", "-t", topic, "-s"], input=payload, text=True, check=True)


def with_counters(flow):
    """The flow, with what comes before and behind its filter counted and shown as /mbushat-counted."""
    keep = 'const all = flow.get("{0}") || []; all.push([msg.payload.epoch, msg.payload.seq]); flow.set("{0}", all);'
    show = 'msg.payload = { before: flow.get("before") || [], behind: flow.get("behind") || [] }; return msg;'
    at = {"z": "mbushat_tab", "x": 1300, "y": 600}
    for node in flow:
        if node["id"] == "mbushat_broker":
            node["broker"], node["port"] = host, port
        for after, counter in (("mbushat_readings", "before"), ("mbushat_once", "behind")):
            if node["id"] == after:
                node["wires"][0].append(f"count_{counter}")
    counters = [{**at, "id": f"count_{name}", "type": "function", "name": name, "outputs": 1, "wires": [[]],
                 "func": keep.format(name)} for name in ("before", "behind")]
    return flow + counters + [
        {**at, "id": "counted_in", "type": "http in", "name": "", "url": "/mbushat-counted", "method": "get", "wires": [["counted"]]},
        {**at, "id": "counted", "type": "function", "name": "", "outputs": 1, "func": show, "wires": [["counted_out"]]},
        {**at, "id": "counted_out", "type": "http response", "name": "", "wires": []}]


def counted():
    both = json.loads(ask("/mbushat-counted"))
    return [[tuple(reading) for reading in both[name] if reading[0] != PROBE] for name in ("before", "behind")]


def start_agent(folder):
    global agent
    with open(os.path.join(folder, "bus.toml"), "w", encoding="utf-8") as file:
        file.write('baud = 9600\n[[meter]]\nmodel = "heat"\naddress = 5\nid = "67200512"\n'
                   '[[meter]]\nmodel = "cold_water"\naddress = 7\nid = "67200513"\n')
    config = os.path.join(folder, "mbushat.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[mqtt]\nurl = "mqtt://{host}:{port}"\n[store]\ndirectory = "{folder}/store"\n'
                   f'[[bus]]\nname = "wire"\nport = "sim:{folder}/bus.toml"\nbaud = 9600\n'
                   '[[meter]]\nname = "heat_meter"\naddress = 5\ninterval = "2s"\n'
                   '[[meter]]\nname = "cold_water"\naddress = 7\ninterval = "2s"\n')
    agent = subprocess.Popen([args.mbushat, "run", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def taken():
    """The numbers of all readings: they start at 1, and the newest stands in a state."""
    states = subprocess.run(["mosquitto_sub", "-h", host, "-p", port, "-t", "mbushat/+/state", "-W", "3"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    states = [json.loads(line) for line in states.splitlines() if line.startswith("{")]
    return set(range(1, max(state["seq"] for state in states) + 1))


def restarts(folder):
    """What becomes of the readings while the broker restarts; the agent has ended then."""
    for _ in range(RESTARTS):
        stop(broker)
        time.sleep(DOWN_S)
        start_broker(folder)
        time.sleep(UP_S)
    stop(agent)
    wanted = taken()
    end = time.time() + 60
    while time.time() < end and not wanted <= {seq for _, seq in counted()[1]}:
        time.sleep(1)
    before, behind = counted()
    arrived = {seq for _, seq in behind}
    print(f"     over {RESTARTS} restarts of the broker: {len(wanted)} readings sent, {len(arrived)} arrived, "
          f"{len(before) - len(set(before))} came twice, {len(behind) - len(set(behind))} passed the filter twice", flush=True)
    check("every reading arrived", wanted == arrived, f"missing: {sorted(wanted - arrived)}")
    check("none passed the filter twice", len(behind) == len(set(behind)))


def main(folder):
    start_broker(folder)
    flow = json.load(open(os.path.join(HERE, "../../config/node-red-flow.json"), encoding="utf-8"))
    known = {kind for node in json.loads(ask("/nodes")) for kind in node["types"] if node["enabled"]}
    wanted = {node["type"] for node in flow} - {"tab"}
    check(f"a fresh Node-RED has all {len(wanted)} kinds of node", wanted <= known, str(wanted - known))
    flow = with_counters(flow)
    ask("/flows", flow, "POST")
    check("the flow is imported whole", len(json.loads(ask("/flows"))) == len(flow))
    # what was taken before its first subscription is nothing that a flow could miss
    probe = json.dumps({"meter": PROBE, "agent": PROBE, "epoch": PROBE, "seq": 1, "measurements": []})
    until("Node-RED has subscribed", lambda: publish("mbushat/probe/reading", probe) or f'"{PROBE}"' in ask("/mbushat-counted"))
    start_agent(folder)
    first = until("the page shows a value in W", lambda: "Heat meter, power" in page() and ">W<" in page() and page())
    until("the chart grows", lambda: count(page()) == 100 or count(page()) >= count(first) + 2)
    check("the gauge has a length", 'stroke-dasharray="0 100"' not in first or ">0<" in first)
    old = heard("mbushat/heat_meter/reading", lambda: None)
    check("a reading came", old)
    restarts(folder)
    before = page()
    publish("mbushat/heat_meter/reading", old)
    time.sleep(1)
    check("the same reading again is not counted", page() == before)
    for what, change in (("one with a new number", {"seq": json.loads(old)["seq"] + 100000}),
                         ("one with an old number of another epoch", {"epoch": "0123456789abcdef", "seq": 1})):
        before = page()
        publish("mbushat/heat_meter/reading", json.dumps({**json.loads(old), **change}))
        until(f"{what} is", lambda: page() != before, 5)
    asked = heard("mbushat/heat_meter/read", lambda: ask("/inject/mbushat_button", {}, "POST"))
    check("the button asks for a reading", asked.strip() == "{}", asked)


with tempfile.TemporaryDirectory(prefix="mbushat-node-red-") as temporary:
    try:
        main(temporary)
    finally:
        stop(agent)
        stop(broker)
print("all as promised")
