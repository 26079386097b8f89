#!/usr/bin/env python3
"""end_to_end.py MBUSHAT: the main job on a real mosquitto.

`mbushat simulate` serves two telegrams of real meters (an ATS flow meter at 48, an SDM220 at 1) on
a pseudo-terminal paced at 2400 baud; `mbushat run` reads them beside a meter that never answers and
publishes to a mosquitto on a free loopback port; mosquitto_sub tells what arrived. Standard library
only. Exits 1 on the first thing that is not as promised."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from decimal import Decimal as D

HERE = os.path.dirname(os.path.abspath(__file__))
MBUSHAT = os.path.abspath(sys.argv[1])
ATS = ("683D3D680830721573133093060104700000000C06000000000C14050000000C22578303000C2E010000000C3B00000000"
       "0A5901000A5D01000A610100426C8F21DD16")
SDM220 = "685D5D6808017299999999FFFF010255000000" + "0C0400000000" * 6 + "0CFD3A00000000" * 6 + "2716"
ATS_VALUES = {"energy": ("0", "kWh"), "volume": ("0.05", "m³"), "on_time": ("38357", "h"), "power": ("1000", "W"),
              "volume_flow": ("0", "m³/h"), "flow_temperature": ("0.01", "°C"), "return_temperature": ("0.01", "°C"),
              "temperature_difference": ("0.01", "K"), "date_storage_1": ("2020-01-15", None)}
SDM220_KEYS = {f"{kind}_energy_{n}" for kind in ("active", "reactive") for n in range(1, 7)}
RESERVED = {"read_at", "seq", "status"}
tmp = tempfile.TemporaryDirectory(prefix="mbushat-e2e-")
started = []


def path(name):
    return os.path.join(tmp.name, name)


def write(name, text):
    with open(path(name), "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path(name), 0o640)
    return path(name)


def fail(what):
    for name in ("agent.log", "simulate.log", "mosquitto.log"):
        if os.path.exists(path(name)):
            print(f"--- {name}\n{open(path(name), encoding='utf-8', errors='replace').read()[-4000:]}")
    stop_all()
    sys.exit(f"FAIL: {what}")


def check(what, ok, detail=""):
    if not ok:
        fail(f"{what} {detail}")
    print(f"ok   {what}", flush=True)


def start(log, *command):
    process = subprocess.Popen(command, stdout=open(path(log), "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    started.append(process)
    return process


def stop_all():
    for process in reversed(started):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def wait(what, seconds, found):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.1)
    fail(f"not within {seconds} s: {what}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


PORT = free_port()
BROKER = write("mosquitto.conf", f"listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence false\n")


def broker():
    process = start("mosquitto.log", "mosquitto", "-c", BROKER)

    def up():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", PORT)) == 0
    wait("mosquitto listens", 10, up)
    return process


class Subscriber:
    """Everything below a topic, as (topic, retained, payload)."""

    def __init__(self, topic, *options):
        self.messages = []
        self.process = subprocess.Popen(
            ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(PORT), "-t", topic, "-F", "%j", "-q", "1", *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(self.process)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        for line in self.process.stdout:
            m = json.loads(line)
            self.messages.append((m["topic"], bool(m["retain"]), m["payload"] if isinstance(m["payload"], str) else json.dumps(m["payload"])))

    def of(self, topic):
        return [payload for t, _, payload in list(self.messages) if t == topic]


def retained():
    """What the broker keeps now: {topic: payload}."""
    s = Subscriber("#", "--retained-only", "-W", "1")
    s.process.wait(10)
    s.thread.join(5)
    return {t: payload for t, _, payload in s.messages}


def exact(text):
    return json.loads(text, parse_float=D, parse_int=D)


# --- the wire
write("bus.toml", f'baud = 2400\n[[meter]]\naddress = 48\ntelegrams = ["{ATS}"]\n[[meter]]\naddress = 1\ntelegrams = ["{SDM220}"]\n')
start("simulate.log", MBUSHAT, "simulate", path("bus.toml"), "--link", path("bus"))
wait("the simulated bus is there", 10, lambda: os.path.exists(path("bus")))

# --- one readout without an agent, in the form of the 2020 sample
for address, name in (("48", "ats"), ("1", "sdm220")):
    golden = open(os.path.join(HERE, "..", "pymeterbus", f"{name}.json"), encoding="utf-8").read()
    done = subprocess.run([MBUSHAT, "read", address, "--port", path("bus"), "--format", "pymeterbus"], capture_output=True, text=True, timeout=30)
    check(f"read {address} --format pymeterbus is the 2020 document, byte for byte", done.stdout.rstrip("\n") == golden.rstrip("\n"),
          f"(exit {done.returncode})\n{done.stdout[:600]}{done.stderr}")

# --- a config with five mistakes
wrong = write("wrong.toml", '[mqtt]\nurl = "http://x"\nuser = "a"\n[[meter]]\nname = "Bad Name"\naddress = 300\ninterval = "7m"\n')
done = subprocess.run([MBUSHAT, "check", wrong], capture_output=True, text=True, timeout=30)
lines = [f"{wrong}:{n}" for n in (2, 3, 5, 6, 7)]
check("five mistakes are five messages with their lines, exit 78",
      done.returncode == 78 and all(l in done.stderr for l in lines), f"(exit {done.returncode})\n{done.stderr}")

# --- the agent
mosquitto = broker()
seen = Subscriber("mbushat/#")
config = write("mbushat.toml", f'''
[mqtt]
url = "mqtt://127.0.0.1:{PORT}"
[store]
directory = "{path("store")}"
[[bus]]
name = "wire"
port = "{path("bus")}"
hat = false
[[meter]]
name = "flow"
address = 48
interval = "10s"
[[meter]]
name = "silent"
address = 7
interval = "10s"
[[meter]]
name = "power"
address = 1
interval = "10s"
''')
agent = start("agent.log", MBUSHAT, "--config", config, "run")
wait("the first readings", 20, lambda: seen.of("mbushat/flow/reading") and seen.of("mbushat/power/reading"))

for source in ("state", "reading"):
    text = wait(f"flow/{source}", 5, lambda: seen.of(f"mbushat/flow/{source}"))[0]
    got = exact(text)
    values = got if source == "state" else {m["key"]: m["value"] for m in got["measurements"]}
    for key, (value, unit) in ATS_VALUES.items():
        same = values.get(key) == (value if unit is None else D(value))
        check(f"flow/{source}: {key} = {value}", same and (unit is None or f"{value}" in text), f"in {text}")
    if source == "reading":
        units = {m["key"]: m.get("unit") for m in got["measurements"]}
        check("flow/reading: every unit", all(units[k] == u for k, (_, u) in ATS_VALUES.items() if u), str(units))
        check("flow/reading: id 30137315, ATS", (got["device"]["id"], got["device"]["manufacturer"]) == ("30137315", "ATS"), text)
power = exact(seen.of("mbushat/power/state")[0])
check("power/state: twelve measurements with twelve stable keys", set(power) - RESERVED == SDM220_KEYS, str(sorted(power)))

# a first read behind the silent meter may end nearer to the next slot than half an interval, which is left out then
wait("three cycles", 45, lambda: len(seen.of("mbushat/flow/reading")) >= 4 and len(seen.of("mbushat/power/reading")) >= 3)
check("the silent meter alone is offline", {n: seen.of(f"mbushat/{n}/availability")[-1] for n in ("flow", "silent", "power")}
      == {"flow": "online", "silent": "offline", "power": "online"})
for name in ("flow", "power"):
    late = [(r["due_at"], r["read_at"]) for r in map(json.loads, seen.of(f"mbushat/{name}/reading")[1:])]
    seconds = [float(read[17:-1]) % 10 for _, read in late]
    check(f"{name} keeps its times beside the silent meter", len(late) >= 2 and all(s < 5 for s in seconds), str(late))

before = retained()
check("discovery, states and availabilities are retained", "mbushat/bridge/state" in before and "mbushat/flow/state" in before
      and sum(t.startswith("homeassistant/device/") for t in before) == 3, str(sorted(before)))
mosquitto.kill()
mosquitto.wait()
time.sleep(3)
began = time.monotonic()
mosquitto = broker()
steady = {t: p for t, p in before.items() if not t.endswith(("/state", "/info"))}


def restored():
    now = retained()
    return set(before) <= set(now) and all(now[t] == p for t, p in steady.items()) and now["mbushat/bridge/state"] == "online"


wait("every retained topic is right again", 10, restored)
check(f"broker killed and started again: all {len(before)} retained topics right after {time.monotonic() - began:.1f} s", True)

began = time.monotonic()
agent.send_signal(signal.SIGTERM)
status = agent.wait(5)
check(f"SIGTERM: exit 0 after {time.monotonic() - began:.1f} s", status == 0, f"status {status}")
check("bridge/state says offline", retained().get("mbushat/bridge/state") == "offline")
stop_all()
print("PASS")
