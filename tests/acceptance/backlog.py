#!/usr/bin/env python3
"""backlog.py MBUSHAT [READINGS]: 100,000 readings wait for a broker that takes 20 messages a second.

The agent reads ten simulated meters every second, without a broker, for a while. What is in its store then is repeated,
in the store's own form and with further numbers, until READINGS wait there: in true time that would take hours. The
agent starts again, reads its meters every 10 s, and finds a broker that takes one message in 50 ms. Shown after four
minutes: by how much live values (`<meter>/state`) come late there, how many readings of the backlog came beside them
and whether in order, the agent's memory, and the time from its start to its first message. Exits 1 where a live value
is more than 10 s late, a reading came out of order or not at all, less than half of the broker's time was used for the
backlog, or the agent takes more than 64 MB. Standard library only."""
import json
import os
import re
import socket
import sys
import threading
import time
import zlib

import broker_lab as lab
from mqtt_client import packet

METERS, PACE_S, WATCH_S, LATE_S, MEMORY_MB, FILE_BYTES = 10, 0.05, 240, 10, 64, 256 << 10


class SlowBroker(threading.Thread):
    """Takes one message in PACE_S and acknowledges it; what it took, as (time, topic, payload)."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener, self.taken = socket.create_server(("127.0.0.1", 0)), []
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            self.socket, _ = self.listener.accept()
            self.stream = self.socket.makefile("rb")
            try:
                self.serve()
            except (OSError, IndexError):
                pass

    def receive(self):
        head, length, shift = self.stream.read(1)[0], 0, 0
        while True:
            digit = self.stream.read(1)[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return head, self.stream.read(length)

    def serve(self):
        self.receive()
        self.socket.sendall(packet(0x20, b"\0\0"))
        while True:
            head, body = self.receive()
            if head >> 4 == 12:
                self.socket.sendall(b"\xd0\0")
            elif head >> 4 == 8:
                filters = len(re.findall(rb"\x01", self.options(body)))
                self.socket.sendall(packet(0x90, body[:2] + b"\1" * filters))
            elif head >> 4 == 3:
                time.sleep(PACE_S)
                end = 2 + int.from_bytes(body[:2], "big")
                self.taken.append((time.time(), body[2:end].decode(), body[end + 2:]))
                self.socket.sendall(packet(0x40, body[end:end + 2]))

    @staticmethod
    def options(body):
        """The bytes of a SUBSCRIBE that say QoS, one for each filter."""
        place, found = 2, b""
        while place < len(body):
            place += 2 + int.from_bytes(body[place:place + 2], "big")
            found += body[place:place + 1]
            place += 1
        return found


def configuration(port, interval):
    meters, bus = "", "baud = 38400\n"
    for place in range(1, METERS + 1):
        bus += f'[[meter]]\nmodel = "cold_water"\naddress = {place}\nid = "{10000000 + place}"\n'
        meters += f'[[meter]]\nname = "m{place}"\naddress = {place}\ninterval = "{interval}"\n'
    return lab.write("mbushat.toml", f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\nprotocol = 3\n[store]\n'
                     f'directory = "{lab.lab}/store"\nmax_size = "1GiB"\n[[bus]]\nname = "wire"\n'
                     f'port = "sim:{lab.write("bus.toml", bus)}"\nbaud = 38400\n{meters}')


def line(text):
    """One line of the store."""
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def fill(wanted):
    """The store as it would be after `wanted` readings like those that are in it."""
    store = os.path.join(lab.lab, "store")
    names = sorted(name for name in os.listdir(store) if name.startswith("readings-"))
    texts = []
    for name in names:
        with open(os.path.join(store, name), encoding="utf-8") as file:
            texts += [text[9:].rstrip("\n").split(" ", 3) for text in file]
        os.remove(os.path.join(store, name))
    number, content = 1, ""
    for number in range(1, wanted + 1):
        old, _, meter, reading = texts[(number - 1) % len(texts)]
        content += line(f"{number} 0 {meter} " + reading.replace(f'"seq":{old},', f'"seq":{number},', 1))
        first = number if not content.count("\n") - 1 else first
        if len(content) > FILE_BYTES or number == wanted:
            lab.write(f"store/readings-{first:020}.log", content)
            content = ""
    with open(os.path.join(store, "numbers"), encoding="utf-8") as file:
        epoch = file.read().split()[2]
    lab.write("store/numbers", line(f"epoch {epoch} next {wanted + 1} bound {wanted + 1} reserved cursor 0"))
    return len(texts)


def status(process, field):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        return int(re.search(rf"{field}:\s+(\d+)", file.read())[1]) / 1024


def start(program, port, interval):
    return lab.start("agent", [program, "run", "--config", configuration(port, interval)], env=os.environ | {"RUST_LOG": "warn"})


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program, wanted = os.path.abspath(sys.argv[1]), int((sys.argv[2:] + ["100000"])[0])
    process = start(program, lab.free_port(), "1s")
    time.sleep(15)
    lab.stop(process)
    print(f"{fill(wanted)} readings of the agent, repeated until {wanted:,} wait", flush=True)
    broker = SlowBroker()
    broker.start()
    begin = time.time()
    process = start(program, broker.port, "10s")
    lab.until(f"the broker has a message\n{lab.log_of('agent')}", 60, lambda: broker.taken)
    print(f"started again: its first message after {broker.taken[0][0] - begin:.1f} s", flush=True)
    time.sleep(WATCH_S)
    now, highest = status(process, "VmRSS"), status(process, "VmHWM")
    taken = list(broker.taken)
    lab.stop(process)
    late = sorted(at - lab.read_at(payload) for at, topic, payload in taken if topic.endswith("/state") and
                  "/bridge/" not in topic and lab.read_at(payload) > begin)
    numbers = [json.loads(payload)["seq"] for _, topic, payload in taken if topic.endswith("/reading")]
    rate = len(numbers) / WATCH_S
    print(f"in {WATCH_S} s it took {len(taken)} messages, {len(numbers)} of them waiting readings ({rate:.1f} a second), "
          f"{'in order' if numbers == sorted(numbers) else 'OUT OF ORDER'}; {len(late)} live values, late by "
          f"{late[len(late) // 2]:.1f} s (half), {late[-1]:.1f} s (all)", flush=True)
    print(f"memory {now:.1f} MB, {highest:.1f} MB at most", flush=True)
    whole = numbers == list(range(1, len(numbers) + 1))
    good = late[-1] < LATE_S and whole and rate > 0.5 / PACE_S and highest < MEMORY_MB
    print("all as promised" if good else "FAIL")
    return not good


lab.run(main)
