#!/usr/bin/env python3
"""schemas.py MBUSHAT: every payload of an agent against docs/src/schema, on a real mosquitto.

Two agents read simulated meters, and one meter of this script that falls silent, is replaced and whose total leaps;
every request is made, every event happens. Each message must be on a channel of docs/src/asyncapi.yaml and fit its
schema; then each is spoiled in many ways (a field missing, one too many, one of another type), which the schema must
refuse, and of a request the agent too. Prints how many. Needs jsonschema and PyYAML, and mosquitto. About two minutes."""
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time

import jsonschema
import referencing
import yaml

import broker_lab as lab
from mqtt_client import Client

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/src")
BASE, FULL = "mbushat/lab", "mbushat/full"
EVENTS = {"meter_found", "meter_silent", "meter_back", "meter_replaced", "counter_fell", "counter_leapt", "counter_fault",
          "bus_down", "bus_up", "unclean_start", "other_agent", "readings_dropped"}
OPTIONAL = {"reading": {"held", "modifiers", "labels", "manufacturer_data", "unnamed", "telegrams"},
            "request": {"bus", "name", "title", "interval", "key", "secondary", "transaction"}}
MAPS = {"labels", "buses", "meters", "not_adopted", "cmps"}


# --- schemas and channels

def load_schemas():
    schemas = {}
    for name in os.listdir(f"{DOCS}/schema"):
        with open(f"{DOCS}/schema/{name}", encoding="utf-8") as file:
            schemas[name] = json.load(file)
        jsonschema.Draft202012Validator.check_schema(schemas[name])
    resources = [(schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas.values()]
    return schemas, referencing.Registry().with_resources(resources)


SCHEMAS, REGISTRY = load_schemas()


def validator(reference):
    """Of `./schema/request.json#/$defs/read`, or the like."""
    file, _, fragment = reference.removeprefix("./schema/").partition("#")
    return jsonschema.Draft202012Validator({"$ref": f"{SCHEMAS[file]['$id']}#{fragment}"}, registry=REGISTRY)


class Channel:
    def __init__(self, name, channel, messages):
        self.name, self.address, self.seen, self.received = name, channel["address"], [], 0
        (message,) = channel["messages"]
        message = messages[message]
        self.is_text = message.get("contentType") == "text/plain"
        self.schema = message.get("payload", {}).get("$ref")
        self.check = validator(self.schema) if self.schema else None
        self.kind = self.schema and re.match(r"\./schema/(\w+)", self.schema)[1]
        pattern = re.escape(self.address).replace(r"\{base\}", f"(?:{BASE}|{FULL})").replace(r"\{prefix\}", "homeassistant")
        self.pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", pattern))

    def take(self, payload):
        self.received += 1
        if not payload or not self.check:  # what is removed is empty
            return
        value = payload.decode() if self.is_text else json.loads(payload)
        error = jsonschema.exceptions.best_match(self.check.iter_errors(value))
        if error:
            sys.exit(f"FAIL: {self.address} does not fit {self.schema}: {error.message} at {list(error.absolute_path)}\n{payload.decode()}")
        self.seen.append(value)


def load_channels():
    with open(f"{DOCS}/asyncapi.yaml", encoding="utf-8") as file:
        api = yaml.safe_load(file)
    return [Channel(name, channel, api["components"]["messages"]) for name, channel in api["channels"].items()]


CHANNELS = load_channels()


def channel_of(topic):
    """The one that fits with the fewest parameters."""
    fitting = sorted((c for c in CHANNELS if c.pattern.fullmatch(topic)), key=lambda c: c.address.count("{"))
    return fitting[0] if fitting else sys.exit(f"FAIL: {topic} is no channel of asyncapi.yaml")


# --- meters

def telegram(address, ident, records):
    body = bytes([8, address, 0x72]) + bytes.fromhex(ident)[::-1] + bytes.fromhex("2D2C1D0401000000") + bytes.fromhex(records)
    return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 255, 0x16])


class Meter(threading.Thread):
    """A meter behind a TCP gateway: its energy is in steps of a kilowatt-hour."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.identity, self.energy, self.rise, self.once, self.is_silent, self.is_down = port, "67200001", 5000, 1, None, False, False
        self.reads = 0
        self.start()

    def run(self):
        while True:
            if not self.is_down:
                with socket.create_server(("127.0.0.1", self.port)) as server:
                    server.settimeout(0.2)
                    self.listen(server)
            time.sleep(0.1)

    def listen(self, server):
        while not self.is_down:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(0.2)
                self.talk(connection)

    def talk(self, connection):
        heard = b""
        while not self.is_down:
            try:
                more = connection.recv(256)
            except TimeoutError:
                continue
            except OSError:
                return
            if not more:
                return
            heard += more
            while match := re.search(rb"\x10(.)(.).\x16", heard, re.DOTALL):
                heard = heard[match.end():]
                if match[2] == b"\1" and not self.is_silent:
                    connection.sendall(b"\xe5" if match[1] == b"\x40" else self.answer())

    def answer(self):
        self.reads += 1
        value, self.once = (self.once, None) if self.once is not None else (self.energy, None)
        self.energy += self.rise
        return telegram(1, self.identity, "0C06" + bytes.fromhex(f"{value:08}")[::-1].hex())


ODD = telegram(30, "12345678", "0C1405000000" + "3C2BBDEBDDDD" + "02FF020500" + "0F01020304")  # errors, unnamed, a block


def simulated():
    meters = ["heat", "cooling", "cold_water", "warm_water", "electricity", "gas", "heat_cost_allocator", "pulse_converter", "room_sensor",
              "ats_ec20", "eastron_sdm220"]
    with_id = "".join(f'[[meter]]\nmodel = "{model}"\naddress = {place}\n' + (f'id = "2000000{place}"\n' if place < 10 else "")
                      for place, model in enumerate(meters, 1))
    spare = '[[meter]]\nmodel = "gas"\naddress = 40\nid = "40404040"\n'
    return meters, f'baud = 9600\n{with_id}{spare}[[meter]]\naddress = 30\ntelegrams = ["{ODD.hex()}"]\n'


def configure(port, wire):
    meters, bus = simulated()
    bus = lab.write("bus.toml", bus)
    table = '[[meter]]\nname = "{0}"\nbus = "sim"\naddress = {1}\ninterval = "10s"\nraw = true\nlabels = {{ flat = "3" }}\n'
    return lab.write("mbushat.toml", f'''
[agent]
timezone = "Europe/Zurich"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
base_topic = "{BASE}"
value_topics = true
[store]
directory = "{lab.lab}/store"
[[bus]]
name = "sim"
port = "sim:{bus}"
baud = 9600
[[bus]]
name = "wire"
port = "tcp://127.0.0.1:{wire}"
baud = 9600
response_timeout = "300ms"
gap_timeout = "300ms"
retries = 0
[[meter]]
name = "live"
bus = "wire"
address = 1
interval = "2s"
[[meter]]
name = "odd"
bus = "sim"
address = 30
interval = "10s"
''' + "".join(table.format(model, place) for place, model in enumerate(meters, 1)))


def configure_full(port):
    """Too many readings for its store while there is no broker."""
    bus = lab.write("full.toml", "baud = 38400\n" + "".join(f'[[meter]]\nmodel = "heat"\naddress = {n}\nid = "3000000{n}"\n' for n in range(1, 9)))
    return lab.write("full/mbushat.toml", f'''
[mqtt]
url = "mqtt://127.0.0.1:{port}"
base_topic = "{FULL}"
[store]
directory = "{lab.lab}/full/store"
max_size = "1MiB"
''' + "".join(f'[[bus]]\nname = "b{n}"\nport = "sim:{bus}"\nbaud = 38400\n'
              f'[[meter]]\nname = "m{n}"\nbus = "b{n}"\naddress = {n}\ninterval = "1s"\nraw = true\n' for n in range(1, 9)))


def mosquitto(port):
    path = lab.write(f"mosquitto-{port}.conf", f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n"
                     + ("user root\n" if os.geteuid() == 0 else ""))
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or sys.exit("mosquitto is missing")
    lab.start("mosquitto", [program, "-c", path])
    lab.until("mosquitto listens", 20, lambda: lab.answers(port))


# --- what happens

class Story:
    def __init__(self, program):
        self.program, self.port, self.full_port, wire = program, lab.free_port(), lab.free_port(), lab.free_port()
        mosquitto(self.port)
        self.client = Client(self.port, ["#"])
        lab.until("subscribed", 10, lambda: self.client.up_since)
        self.meter, self.config, self.asked = Meter(wire), configure(self.port, wire), 0
        self.agent = self.run("agent", self.config)
        self.full = self.run("full", configure_full(self.full_port))

    def run(self, name, config):
        return lab.start(name, [self.program, "run", "--config", config], env=os.environ | {"NO_COLOR": "1", "RUST_LOG": "info"})

    def events(self):
        return [json.loads(payload) for _, _, _, payload in self.client.of("/bridge/event")]

    def wait_event(self, name, seconds=30, count=1):
        lab.until(f"event {name}; {lab.log_of('agent')[-1500:]}", seconds, lambda: sum(e["event"] == name for e in self.events()) >= count)

    def ask(self, verb, request, seconds=60):
        """The response."""
        self.asked += 1
        request = dict(request, transaction=self.asked) if isinstance(request, dict) and "transaction" not in request else request
        before = len(self.client.of(f"/response/{verb}"))
        self.client.publish(f"{BASE}/bridge/request/{verb}", json.dumps(request))
        lab.until(f"answer to {verb} {request}", seconds, lambda: len(self.client.of(f"/response/{verb}")) > before)
        return json.loads(self.client.of(f"/response/{verb}")[-1][3])

    def totals(self):
        """The total of the meter on the wire rises, leaps, falls, and once only seems to."""
        meter = self.meter
        lab.until("14 readings", 60, lambda: meter.reads > 14)
        meter.energy += 10_000_000
        self.wait_event("counter_leapt", 100)
        meter.energy = meter.energy * 9 // 10
        self.wait_event("counter_fell")
        meter.once = meter.energy * 9 // 10
        self.wait_event("counter_fault")
        meter.identity = "67200002"
        self.wait_event("meter_replaced")
        meter.is_silent = True
        self.wait_event("meter_silent")
        meter.is_silent = False
        self.wait_event("meter_back")
        meter.is_down = True
        self.wait_event("bus_down")
        meter.is_down = False
        self.wait_event("bus_up", count=2)

    def requests(self):
        ok = lambda verb, request: self.expect(verb, request, "ok")
        ok("read", {"meter": "heat", "bus": "sim"})
        ok("read", {"bus": "sim", "address": 40, "transaction": {"any": ["thing", None]}})
        ok("scan", {"bus": "sim", "secondary": "????????"})
        self.wait_event("meter_found")
        ok("adopt", {"bus": "sim", "address": "40404040", "name": "spare", "title": "Spare", "interval": "1h"})
        ok("adopt", {"meter": "spare", "interval": "30m"})
        ok("forget", {"meter": "spare"})
        ok("log_level", {"level": "info"})
        ok("resend", {})
        ok("reload", {})
        self.expect("power", {"bus": "sim", "on": True}, "error")
        self.client.publish("homeassistant/status", "online")
        self.client.publish(f"{BASE}/gas/read", "now")

    def expect(self, verb, request, status):
        answer = self.ask(verb, request)
        if answer["status"] != status:
            sys.exit(f"FAIL: {verb} {request} -> {answer}")
        CHANNELS_BY["request", verb].take(json.dumps(request).encode())

    def others(self):
        self.client.publish(f"{BASE}/bridge/info", json.dumps(json.loads(self.client.of(f"{BASE}/bridge/info")[-1][3]) | {"instance": "0" * 16}))
        self.wait_event("other_agent")

    def dropped(self):
        lab.until(f"the store was full; {lab.log_of('full')[-800:]}", 120, lambda: "dropped" in lab.log_of("full"))
        mosquitto(self.full_port)
        second = Client(self.full_port, ["#"])
        lab.until("readings_dropped", 60, lambda: any(b"readings_dropped" in m[3] for m in second.of("/bridge/event")))
        lab.stop(self.full)
        second.stop()
        self.client.messages.extend(second.messages)

    def unclean(self):
        lab.kill(self.agent)
        self.agent = self.run("agent", self.config)
        self.wait_event("unclean_start")
        lab.until("online", 30, lambda: self.client.of(f"{BASE}/bridge/state")[-1][3] == b"online")


CHANNELS_BY = {("request", c.address.rsplit("/", 1)[1]): c for c in CHANNELS if "/request/" in c.address}


# --- mutations

def spoiled(value, path=()):
    """(path, what was done, the value so)"""
    yield path, "type", [1] if not isinstance(value, (list, dict)) else 7
    if isinstance(value, dict):
        yield path + ("added",), "added", value | {"added": [1]}
        for key, inner in value.items():
            yield path + (key,), "removed", {k: v for k, v in value.items() if k != key}
            for where, what, so in spoiled(inner, path + (key,)):
                yield where, what, value | {key: so}
    elif isinstance(value, list) and value:
        for where, what, so in spoiled(value[0], path + (0,)):
            yield where, what, [so, *value[1:]]


def may_be(kind, path, what):
    """What the schema allows on purpose."""
    if "transaction" in path:
        return (kind, path, what) != ("response", ("transaction",), "removed")
    if kind == "request" and what == "added" and len(path) == 1:
        return True
    if what == "removed":
        if path[-1] in OPTIONAL.get(kind, ()) or len(path) > 1 and path[-2] in MAPS:
            return True
        if kind == "response" and "data" in path and path[-1] in OPTIONAL["reading"]:
            return True
        if kind == "state":
            return path[-1] not in ("read_at", "seq", "status")
        if kind == "discovery":
            return path[-1] not in ("dev", "o", "cmps", "ids", "name", "p", "uniq_id", "t") or path[0] == "cmps" and path[-1] == "name"
    return False


def mutate(story):
    counts = {"refused": 0, "by the agent": 0}
    for channel in CHANNELS:
        if not channel.schema:
            continue
        by_shape = {}
        for value in channel.seen:
            shape = value.get("event") or f"{sorted(value)} {len(json.dumps(value)) // 1000}" if isinstance(value, dict) else value
            by_shape.setdefault(str(shape), value)
        for value in list(by_shape.values())[:12]:
            for path, what, so in spoiled(value):
                if channel.kind == "value" and what != "type" or may_be(channel.kind, path, what):
                    continue
                if channel.check.is_valid(so):
                    sys.exit(f"FAIL: {channel.schema} takes a payload with {path} {what}: {json.dumps(so)[:2000]}")
                counts["refused"] += 1
                if channel.kind == "request":
                    answer = story.ask(channel.address.rsplit("/", 1)[1], so)
                    if answer["status"] != "error":
                        sys.exit(f"FAIL: the agent obeys {channel.address} {so}")
                    counts["by the agent"] += 1
    return counts


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    story = Story(os.path.abspath(sys.argv[1]))
    lab.until(f"readings; {lab.log_of('agent')[-2000:]}", 60, lambda: len({m[1] for m in story.client.of("/reading")}) >= 13)
    rest = threading.Thread(target=story.totals, daemon=True)
    rest.start()
    story.requests()
    story.dropped()
    rest.join(200)
    story.others()
    story.unclean()
    story.expect("restart", {}, "ok")
    lab.until("the agent ended", 20, lambda: story.agent.poll() is not None)
    if story.agent.returncode != 75:
        sys.exit(f"FAIL: restart ends with {story.agent.returncode}")
    story.agent = story.run("agent", story.config)
    lab.until("online", 30, lambda: story.client.of(f"{BASE}/bridge/state")[-1][3] == b"online")
    for _, topic, _, payload in list(story.client.messages):
        if topic.startswith((f"{BASE}/bridge/request", "homeassistant/status")):
            channel_of(topic).received += 1
        else:
            channel_of(topic).take(payload)
    judge(story)


def judge(story):
    missing = [c.address for c in CHANNELS if not c.received]
    events = {e["event"] for c in CHANNELS if c.name == "bridgeEvent" for e in c.seen}
    if missing or events != EVENTS or set(SCHEMAS["event.json"]["$defs"]) != EVENTS:
        sys.exit(f"FAIL: nothing was seen on {missing}, of events not {EVENTS - events}")
    counts = mutate(story)
    valid = sum(len(c.seen) for c in CHANNELS)
    print(f"PASS: {valid} payloads on {len(CHANNELS)} channels and {len(EVENTS)} kinds of event fit their schema; "
          f"{counts['refused']} spoiled ones are refused, {counts['by the agent']} requests of them by the agent too")


try:
    main()
finally:
    lab.stop_all()
