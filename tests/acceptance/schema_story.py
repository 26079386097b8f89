"""All that can happen to an agent, for schemas.py: meters that are simulated, one that falls silent, is replaced and
whose total leaps, every request, and a second agent whose store is full."""
import json
import os
import re
import socket
import sys
import threading
import time

import broker_lab as lab
from loopback import mosquitto, telegram
from mqtt_client import Client

BASE, FULL = "mbushat/lab", "mbushat/full"


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
        return telegram(1, self.identity, "KAM", 4, "0C06" + bytes.fromhex(f"{value:08}")[::-1].hex())


ODD = telegram(30, "12345678", "KAM", 4, "0C1405000000" + "3C2BBDEBDDDD" + "02FF020500" + "0F01020304")  # errors, unnamed, a block


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



class Story:
    def __init__(self, program):
        self.program, self.port, self.full_port, wire = program, lab.free_port(), lab.free_port(), lab.free_port()
        mosquitto(self.port)
        self.client = Client(self.port, ["#"])
        lab.until("subscribed", 10, lambda: self.client.up_since)
        self.meter, self.config, self.asked = Meter(wire), configure(self.port, wire), 0
        self.sent = []
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
        ok("read", {"bus": "sim", "address": 40, "telegrams": True})
        ok("scan", {"bus": "sim", "secondary": "????????"})
        self.wait_event("meter_found")
        ok("adopt", {"bus": "sim", "address": "40404040", "name": "spare", "title": "Spare", "interval": "1h"})
        ok("adopt", {"meter": "spare", "interval": "30m"})
        ok("adopt", {"meter": "spare", "title": None, "interval": None, "key": None})
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
        self.sent.append((verb, request))

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
