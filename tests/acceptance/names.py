#!/usr/bin/env python3
"""What the owner of a meter gets to see of what it sends, over a file of telegrams (one JSON object a line with
"hex" and "origin"; only the wired ones count).

    tests/acceptance/names.py TELEGRAMS.jsonl [target/debug/mbushat]         a table by meter, and the sum
    tests/acceptance/names.py TELEGRAMS.jsonl target/debug/mbushat JAN 09    each record of these meters and its key

hidden: a record of VIF 7F or FF that is not published. poor: published under a key that says nothing to an owner: the
manufacturer's code, a plain text's number, or on an electricity meter a sub-unit (a phase, or reactive, or apparent)."""
import collections
import json
import re
import socketserver
import subprocess
import sys
import tempfile
import threading

POOR = re.compile(r"_manufacturer|^manufacturer_specific|^plain_text")
ELECTRICAL = re.compile(r"^(energy|power|voltage|current|dimensionless)_.*subunit_|^(energy|power|voltage|current)_subunit_")
PLACE = ("function", "storage", "tariff", "subunit")


class Bus(socketserver.ThreadingTCPServer):
    """A gateway with a meter at each address, answering with its one telegram."""
    allow_reuse_address = daemon_threads = True

    def __init__(self, telegrams):
        self.telegrams = telegrams
        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answers(socketserver.StreamRequestHandler):
    def handle(self):
        while start := self.rfile.read(1):
            if start == b"\x10":
                control, address, _, _ = self.rfile.read(4)
                if 0 < address <= len(self.server.telegrams):
                    asked = control & 0x0F == 0x0B
                    self.wfile.write(self.server.telegrams[address - 1] if asked else b"\xe5")


def at(address, telegram):
    """The telegram as a meter at this primary address would send it."""
    body = bytearray.fromhex(telegram)[4:-2]
    body[1] = address
    return bytes([0x68, len(body), len(body), 0x68, *body, sum(body) & 0xFF, 0x16])


def readings(program, telegrams):
    """Each telegram's reading as MQTT gets it; None where there is none."""
    found = []
    for first in range(0, len(telegrams), 200):
        some = [at(1 + place, telegram) for place, telegram in enumerate(telegrams[first:first + 200])]
        names = [f"m{address}" for address in range(1, 1 + len(some))]
        with Bus(some) as bus, tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(f'[[bus]]\nname = "b"\nport = "tcp://127.0.0.1:{bus.server_address[1]}"\nretries = 0\n')
            file.writelines(f'[[meter]]\nname = "{name}"\naddress = {name[1:]}\n' for name in names)
            file.flush()
            done = subprocess.run([program, "--config", file.name, "read", "--format", "reading", *names],
                                  capture_output=True, text=True)
            bus.shutdown()
        lines = {reading["meter"]: reading for reading in map(json.loads, done.stdout.splitlines())}
        found += [lines.get(name) for name in names]
    return found


def decoded(program, telegrams):
    done = subprocess.run([program, "decode", "--format", "jsonl", "-"], input="\n".join(telegrams) + "\n",
                          capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def digits(value):
    return re.sub(r"[^1-9]*([1-9].*?)0*$", r"\1", str(value).replace(".", ""))


def pairs(records, measurements):
    """Each record with the measurement made of it, or None: both are in one order, but quantity and value may differ."""
    best = {(len(records), m): (0, []) for m in range(len(measurements) + 1)}
    for r in range(len(records) - 1, -1, -1):
        for m in range(len(measurements), -1, -1):
            choices = [(best[r + 1, m][0], [None] + best[r + 1, m][1])]
            if m < len(measurements) and all(records[r][k] == measurements[m][k] for k in PLACE):
                score = 1 + 2 * (records[r]["quantity"] == measurements[m]["quantity"])
                score += 2 * (digits(records[r]["value"]) == digits(measurements[m]["value"]))
                choices.append((best[r + 1, m + 1][0] + score, [measurements[m]] + best[r + 1, m + 1][1]))
            best[r, m] = max(choices, key=lambda choice: choice[0])
    return list(zip(records, best[0, 0][1]))


def seen(program, file):
    """For each wired telegram that gives a reading: its meter, and its pairs."""
    telegrams = [line["hex"] for line in map(json.loads, open(file)) if line.get("origin", "wired") == "wired"]
    telegrams = [telegram for telegram in telegrams if telegram.startswith("68") and len(telegram) > 30]
    for reading, telegram in zip(readings(program, telegrams), decoded(program, telegrams)):
        if reading:
            header = telegram.get("header") or {}
            meter = f'{header.get("manufacturer", "---")} {header.get("version", 0):02X}h {header.get("medium", {}).get("name")}'
            yield meter, pairs(telegram["records"], reading["measurements"])


def main(file, program="target/debug/mbushat", *meters):
    counts = collections.defaultdict(collections.Counter)
    for meter, records in seen(program, file):
        shown = meters and any(meter.startswith(start) for start in meters)
        count = counts[meter]
        count["telegrams"] += 1
        if shown:
            print(f"-- {meter}")
        for record, measurement in records:
            key = measurement["key"] if measurement else ""
            own = record["vib"][:2] in ("7F", "FF")
            count["records"] += 1
            count["hidden"] += own and not key
            electrical = meter.endswith("electricity") and ELECTRICAL.search(key)
            count["poor"] += bool(key) and bool(POOR.search(key) or electrical)
            count["left out"] += not own and not key
            if shown:
                value = f'{measurement["value"]} {measurement["unit"]}' if measurement else f'({record["value"]})'
                print(f'{record["dib"]:10} {record["vib"]:16.16} {key:40} {value}')
    if meters:
        return
    columns = ("telegrams", "records", "hidden", "poor", "left out")
    counts = dict(sorted(counts.items())) | {"all": sum(counts.values(), collections.Counter())}
    print(f'{"meter":32}' + "".join(f"{column:>10}" for column in columns))
    for meter, count in counts.items():
        print(f"{meter:32}" + "".join(f"{count[column]:10}" for column in columns))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 1 else sys.exit(__doc__)
