#!/usr/bin/env python3
"""footprint.py MBUSHAT: what the agent costs, in three figures with their limits.

MBUSHAT is a release build without default features. It reads 60 simulated meters, of every model,
over TCP at 9600 baud and publishes them to a real mosquitto, with Home Assistant discovery:
  size      of the stripped program: below 6 MB
  resident  after two rounds of all 60 meters: below 10 MB (10,000,000 bytes)
  start     from its start to its first reading at a subscriber, less the time in which the bus was
            busy with that meter, which a proxy on the line measures; best of five: below 0.3 s
Exits 1 where a limit is passed. Standard library only."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

METERS, INTERVAL, STARTS = 60, 20, 5
MODELS = ["heat", "cooling", "cold_water", "warm_water", "electricity", "gas", "heat_cost_allocator", "pulse_converter",
          "room_sensor", "ats_ec20", "eastron_sdm220"]
started = []


def start(*command, **how):
    process = subprocess.Popen(command, **{"stderr": subprocess.DEVNULL, **how})
    started.append(process)
    return process


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def reachable(port, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"footprint.py: nobody listens on port {port}")


class Wire:
    """Between agent and bus: when the first meter was asked, and when its last byte came."""

    def __init__(self, bus):
        self.bus, self.begin, self.end, self.address = bus, None, None, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def again(self):
        self.begin = self.end = self.address = None

    def serve(self):
        while True:
            agent, _ = self.listener.accept()
            meters = socket.create_connection(("127.0.0.1", self.bus))
            for source, sink, note in ((agent, meters, self.asked), (meters, agent, self.answered)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.copy, args=(source, sink, note), daemon=True).start()

    def asked(self, data):
        # a short frame is 10 C A checksum 16, a long one 68 L L 68 C A …
        address = data[2] if data[0] == 0x10 else data[5]
        if self.begin is None:
            self.begin, self.address = time.monotonic(), address
        elif address != self.address:
            self.address = None  # the turn of the next meter

    def answered(self, _):
        if self.address is not None:
            self.end = time.monotonic()

    @staticmethod
    def copy(source, sink, note):
        try:
            while data := source.recv(4096):
                note(data)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Readings:
    """The readings that arrive at the broker: how many of each meter, and when the first came."""

    def __init__(self, port):
        self.count, self.first = {}, None
        self.process = start("mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "mbushat/+/reading", "-F", "%t",
                             stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.run, daemon=True).start()

    def again(self):
        self.count, self.first = {}, None

    def run(self):
        for topic in self.process.stdout:
            self.first = self.first or time.monotonic()
            self.count[topic] = self.count.get(topic, 0) + 1

    def wait(self, meters, times, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if sum(count >= times for count in list(self.count.values())) >= meters:
                return
            time.sleep(0.02)
        sys.exit(f"footprint.py: not {times} readings of {meters} meters within {seconds} s, but {self.count}")


def peers(folder, mbushat):
    """A broker and the meters: their ports."""
    broker, bus = free_port(), free_port()
    with open(f"{folder}/mosquitto.conf", "w", encoding="utf-8") as f:
        f.write(f"listener {broker} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    mosquitto = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or sys.exit("footprint.py: mosquitto is missing")
    start(mosquitto, "-c", f"{folder}/mosquitto.conf")
    with open(f"{folder}/bus.toml", "w", encoding="utf-8") as f:
        f.write("baud = 9600\n")
        for place in range(METERS):
            model = MODELS[place % len(MODELS)]
            known = model in ("ats_ec20", "eastron_sdm220")
            f.write(f'[[meter]]\nmodel = "{model}"\naddress = {place + 1}\n' + ("" if known else f'id = "{10000000 + place}"\n'))
    start(mbushat, "simulate", f"{folder}/bus.toml", "--tcp", f"127.0.0.1:{bus}", stdout=subprocess.DEVNULL)
    reachable(broker)
    reachable(bus)
    return broker, bus


def agent(folder, mbushat, broker, wire):
    with open(f"{folder}/mbushat.toml", "w", encoding="utf-8") as f:
        f.write(f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\n[store]\ndirectory = "{folder}/store"\n'
                f'[[bus]]\nname = "b"\nport = "tcp://127.0.0.1:{wire}"\nbaud = 9600\n')
        for place in range(METERS):
            f.write(f'[[meter]]\nname = "m{place + 1}"\naddress = {place + 1}\ninterval = "{INTERVAL}s"\n')
    shutil.rmtree(f"{folder}/store", ignore_errors=True)
    return time.monotonic(), start(mbushat, "--config", f"{folder}/mbushat.toml", "run")


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return {key: int(kilo) * 1024 for key, kilo in re.findall(r"^(\w+):\s+(\d+) kB$", f.read(), re.M)}


def judge(what, value, limit, text):
    print(f"{'ok  ' if value < limit else 'FAIL'} {what:<9} {text}", flush=True)
    return value < limit


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    mbushat = os.path.abspath(sys.argv[1])
    size = os.path.getsize(mbushat)
    good = judge("size", size, 6e6, f"{size:,} bytes (below 6 MB)")
    with tempfile.TemporaryDirectory(prefix="mbushat-footprint-") as folder:
        broker, bus = peers(folder, mbushat)
        wire, readings = Wire(bus), Readings(broker)
        time.sleep(0.5)
        best = None
        for _ in range(STARTS):
            begin, process = agent(folder, mbushat, broker, wire.port)
            readings.wait(1, 1, 30)
            whole, busy = readings.first - begin, wire.end - wire.begin
            best = min(best or (whole - busy, whole, busy), (whole - busy, whole, busy))
            process.terminate()
            process.wait(timeout=30)
            readings.again()
            wire.again()
        good &= judge("start", best[0], 0.3, f"{best[0]:.3f} s: {best[1]:.3f} s to the first reading less {best[2]:.3f} s of bus "
                      f"(below 0.3 s)")
        _, process = agent(folder, mbushat, broker, wire.port)
        readings.wait(METERS, 2, 120 + 2 * INTERVAL)
        used = memory(process.pid)
        good &= judge("resident", used["VmRSS"], 10e6, f"{used['VmRSS']:,} bytes with {METERS} meters, {used['RssAnon']:,} of them "
                      f"anonymous, {used['VmHWM']:,} at most (below 10 MB)")
    return 0 if good else 1


try:
    code = main()
finally:
    for p in started:
        p.terminate()
sys.exit(code)
