#!/usr/bin/env python3
"""adopt.py MBUSHAT [few|cuts|changes]: meters that nobody wrote down, at a real mosquitto.

few      12 meters on a pseudo-terminal and one [[bus]] line: secondary, primary only, two with one address, two with
         one identity, one encrypted, one at 9600 baud, one battery water meter: seconds to the first reading and to
         all, what was said of those that could not be adopted, and the discovery documents that are retained
cuts     SIGKILL at every system call with which the file is written, and at random moments, CUTS times: after every
         cut the file is whole, has no meter twice, and every meter that it had
changes  adopt, rename, interval, key, forget over MQTT and by hand: what changed in the file and on the broker
250 meters are a test of the sources: `cargo test --lib hunting -- --ignored --nocapture`. Needs mosquitto and its
clients, and strace for `cuts`. Exits 1 where something is not as it must be. Standard library only."""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib

CUTS = 200
started, faults = [], []
mbushat = os.path.abspath(sys.argv[1])
work = tempfile.mkdtemp(prefix="adopt-")


def start(*command, **how):
    how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True, **how}
    process = subprocess.Popen(command, **how)
    started.append(process)
    return process


def must(what, holds):
    print(f"{'ok  ' if holds else 'BAD '} {what}", flush=True)
    if not holds:
        faults.append(what)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def reachable(port):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"adopt.py: nobody listens on port {port}")


def wait_for(what, found, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.1)
    sys.exit(f"adopt.py: no {what} within {seconds} s")


class Broker:
    def __init__(self):
        self.port = free_port()
        start("mosquitto", "-p", str(self.port))
        reachable(self.port)

    def subscribe(self, filter):
        return start("mosquitto_sub", "-p", str(self.port), "-t", filter, "-F", "%U %t %p", stdout=subprocess.PIPE,
                     text=True)

    def retained(self, filter):
        command = ["mosquitto_sub", "-p", str(self.port), "-t", filter, "-v", "--retained-only", "-W", "2"]
        lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
        return dict(line.split(" ", 1) for line in lines if " " in line)

    def ask(self, verb, **fields):
        """The response to a request."""
        response = f"mbushat/bridge/response/{verb}"
        listener = subprocess.Popen(["mosquitto_sub", "-p", str(self.port), "-t", response, "-C", "1", "-W", "60"],
                                    stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-t", f"mbushat/bridge/request/{verb}", "-m",
                        json.dumps(fields)], check=True)
        return json.loads(listener.communicate()[0] or "{}")


class House:
    """A configuration, its store, and a simulated bus."""

    def __init__(self, name, meters, broker=None, users="", bus="", baud=None):
        self.folder = os.path.join(work, name)
        os.makedirs(self.folder)
        self.broker, self.users, self.bus = broker, users, bus
        self.file = self.path("mbushat.toml")
        with open(self.path("bus.toml"), "w") as bus_file:
            bus_file.write((f"baud = {baud}\n" if baud else "") + meters)

    def path(self, name):
        return os.path.join(self.folder, name)

    def on_pty(self):
        start(mbushat, "simulate", "--link", self.path("tty"), self.path("bus.toml"))
        wait_for("pseudo-terminal", lambda: os.path.exists(self.path("tty")), 10)
        return self.path("tty")

    def configure(self, port):
        mqtt = f"[mqtt]\nurl = \"mqtt://127.0.0.1:{self.broker.port}\"\n" if self.broker else ""
        with open(self.file, "w") as file:
            file.write(f"{mqtt}[store]\ndirectory = \"{self.path('store')}\"\n[[bus]]\nname = \"b\"\n"
                       f"port = \"{port}\"\n{self.bus}{self.users}")

    def run(self, *before):
        with open(self.path("log"), "a") as log:
            return start(*before, mbushat, "run", "--config", self.file, stderr=log)

    def log(self):
        with open(self.path("log")) as log:
            return log.read()

    def text(self):
        try:
            with open(self.path("store/meters.toml")) as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def meters(self):
        return tomllib.loads(self.text()).get("meter", [])

    def info(self):
        return json.loads(self.broker.retained("mbushat/bridge/info").get("mbushat/bridge/info", "{}"))

    def searched(self, seconds):
        over = lambda: "the search for meters is over" in self.log()
        wait_for("end of the search", over, seconds)


def meter(model, address, id, more=""):
    return f"[[meter]]\nmodel = \"{model}\"\naddress = {address}\nid = \"{id}\"\n{more}"


def readings(process, until, seconds):
    """When each meter's first reading came."""
    first, begin = {}, time.monotonic()
    os.set_blocking(process.stdout.fileno(), False)
    while time.monotonic() - begin < seconds and not until(first):
        line = process.stdout.readline()
        if not line:
            time.sleep(0.02)
            continue
        name = line.split(" ")[1].split("/")[1]
        first.setdefault(name, time.monotonic() - begin)
    return first


def named(house, name):
    return next((m for m in house.meters() if m["name"] == name), {})


def few():
    key = "key = \"000102030405060708090A0B0C0D0E0F\"\n"
    plain = "fabrication_number = "
    meters = "".join([
        meter("heat", 0, "67200512"), meter("heat", 0, "67200513"), meter("cold_water", 0, "21880341"),
        meter("warm_water", 8, "21880342"), meter("electricity", 20, "50003117"), meter("gas", 21, "31000001"),
        meter("cold_water", 30, "44000001", key),  # encrypted
        meter("room_sensor", 31, "55000001", "baud = 9600\n"),
        meter("cold_water", 40, "77000001", "status = 4\n"),  # a battery that is low
        meter("heat", 50, "88000001", plain + "\"00000001\"\n"), meter("heat", 51, "88000001", plain + "\"00000002\"\n"),
        meter("heat_cost_allocator", 60, "99000001", "selectable = false\n"),
    ])
    # no two answer in step, or two telegrams of one model might overlap to one
    delays = iter(range(20, 60, 3))
    meters = re.sub("^model", lambda _: f"delay = \"{next(delays)}ms\"\nmodel", meters, flags=re.M)
    broker = Broker()
    house = House("few", meters, broker)
    house.configure(house.on_pty())
    subscriber = broker.subscribe("mbushat/+/reading")
    house.run()
    first = readings(subscriber, lambda first: len(first) == 11, 900)
    print(f"     first reading after {min(first.values()):.0f} s, all {len(first)} after {max(first.values()):.0f} s")
    house.searched(900)
    names = [m["name"] for m in house.meters()]
    print("     adopted:", *sorted(names))
    print("     never read:", *sorted(set(names) - set(first)))
    must("each stands in the file once", len(names) == len(set(names)))
    documents = [t for t in broker.retained("homeassistant/device/#") if "bridge" not in t]
    print(f"     retained discovery documents: {len(documents)}")
    must("one device for each that was read", len(documents) == len(first))
    said = house.info()["adoption"]["not_adopted"]
    print("     said of others:", said or "nothing")
    # and the one at 60 cannot be selected
    twins = [m["address"] for m in house.meters() if "address" in m]
    must("those that share an identity are read by their addresses, or named",
         twins == [50, 51, 60] or "88000001" in json.dumps(said))
    print("     the log warns:", *sorted({l.split(" ", 3)[-1] for l in house.log().splitlines() if " WARN " in l}),
          sep="\n       ")


def cuts():
    # a bus that answers at once, so that there is much to cut
    meters = "".join(meter("heat", n, f"672005{n:02}", "delay = \"2ms\"\n") for n in range(1, 13))
    house = House("cuts", meters, None, "", "baud = 38400\nresponse_timeout = \"20ms\"\n", 38400)
    house.configure("sim:" + house.path("bus.toml"))
    steps = ["openat", "fchmod", "write", "fsync", "rename", "unlink", "fsync"]
    file, bad, lost, seen, at = house.path("store/meters.toml"), 0, 0, set(), {}
    for cut in range(CUTS):
        step = steps[cut % len(steps)]
        trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", file, "-P", file + ".new", "-P", house.path("store"),
                 "-e", f"inject={step}:signal=SIGKILL:when={random.randint(1, 8)}"]
        process = house.run(*(trace if cut % 4 else []))
        try:
            process.wait(random.uniform(0.5, 3.0))
            at[step] = at.get(step, 0) + 1
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        try:
            addresses = [m["secondary"] for m in house.meters()]
        except tomllib.TOMLDecodeError:
            bad += 1
            continue
        bad += len(addresses) != len(set(addresses))
        lost += not seen <= set(addresses)
        seen = set(addresses)
        if len(seen) == 12:
            shutil.rmtree(house.path("store"))
            seen = set()
    house.run()
    wait_for("12 meters", lambda: len(house.meters()) == 12, 60)
    print(f"     {CUTS} cuts, of these at a system call: {at}")
    must("the file was whole after each, with no meter twice", bad == 0)
    must("no meter that was in the file was lost", lost == 0)


def changes():
    broker = Broker()
    meters = meter("heat", 5, "67200512") + meter("cold_water", 7, "21880341")
    house = House("changes", meters, broker, "", "baud = 9600\nresponse_timeout = \"60ms\"\n", 9600)
    house.configure("sim:" + house.path("bus.toml"))
    agent = house.run()
    device = lambda id: [d for t, d in broker.retained("homeassistant/device/#").items() if id in t]
    wait_for("two devices", lambda: device("67200512") and device("21880341"), 60)
    ids = lambda id: sorted(c["uniq_id"] for c in json.loads(device(id)[0])["cmps"].values() if "uniq_id" in c)
    before = ids("67200512")
    done = broker.ask("adopt", meter="sim_67200512", name="heat", title="Heat", interval="30m")
    time.sleep(3)
    must("renamed: one device under the new topics, its entities kept", done["status"] == "ok" and
         len(device("67200512")) == 1 and "mbushat/heat/state" in device("67200512")[0] and ids("67200512") == before)
    must("renamed: nothing is left under the old name", not broker.retained("mbushat/sim_67200512/#"))
    must("renamed: title and interval stand in the file",
         {"name": "heat", "title": "Heat", "interval": "30m"}.items() <= named(house, "heat").items())
    must("the name in Home Assistant is the title", json.loads(device("67200512")[0])["dev"]["name"] == "Heat")
    key = "00112233445566778899AABBCCDDEEFF"
    done = broker.ask("adopt", meter="heat", key=key)
    must("a key stands in the file and nowhere else", named(house, "heat").get("key") == key and key not in house.log()
         and key not in json.dumps(done) and key not in json.dumps(broker.retained("#")))
    must("forgotten", broker.ask("forget", meter="heat")["status"] == "ok")
    time.sleep(3)
    must("forgotten: no device, no topic, ignored", not device("67200512") and not broker.retained("mbushat/heat/#")
         and len(tomllib.loads(house.text())["ignore"]) == 1)
    must("a scan does not take it again", broker.ask("scan", secondary="????????")["status"] == "ok"
         and len(house.meters()) == 1)
    must("adopted again", broker.ask("adopt", address=5).get("data", {}).get("meter") == "sim_67200512")
    wait_for("its device", lambda: device("67200512"), 20)
    must("adopted again: the same entities", ids("67200512") == before)
    with open(house.path("store/meters.toml")) as file:
        text = file.read()
    with open(house.path("store/meters.toml"), "w") as file:
        file.write(text.replace("sim_21880341", "kitchen") + "# by hand\n")
    os.killpg(agent.pid, signal.SIGHUP)
    wait_for("the new name", lambda: broker.retained("mbushat/kitchen/state"), 20)
    time.sleep(3)
    must("renamed by hand: one device", len(device("21880341")) == 1 and not broker.retained("mbushat/sim_21880341/#"))
    print("     line losses of the bus meanwhile:", house.info()["buses"]["b"]["line_losses"])
    house.users = "[[meter]]\nname = \"mine\"\nsecondary = \"67200512\"\n"
    house.configure("sim:" + house.path("bus.toml"))
    os.killpg(agent.pid, signal.SIGHUP)
    wait_for("the user's name", lambda: broker.retained("mbushat/mine/state"), 20)
    time.sleep(3)
    must("a meter of the user's own file: one device, its entities kept",
         len(device("67200512")) == 1 and ids("67200512") == before and "mbushat/mine/" in device("67200512")[0])
    must("what was written by hand is there", house.text().endswith("# by hand\n"))


try:
    for part in sys.argv[2:] or ["few", "cuts", "changes"]:
        print(part, flush=True)
        {"few": few, "cuts": cuts, "changes": changes}[part]()
finally:
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    shutil.rmtree(work, ignore_errors=True)
sys.exit(1 if faults else 0)
