#!/usr/bin/env python3
"""Compare `mbushat decode --format pymeterbus` with pyMeterBus itself, byte for byte.

usage: pymeterbus.py MBUSHAT FILE...

Needs pyMeterBus 0.8.1 (pip install pyMeterBus==0.8.1). FILE has one telegram a line: hex digits, or
a JSON object with a member "hex"; a key behind the telegram and what follows a line `---` are not
read. Compared as well are our own telegrams and a generated one for every VIF of the tables in every
coding with a few values. Exit status 0 when every telegram gives the same document, or an error on
both sides.
"""
import json
import pathlib
import random
import subprocess
import sys

import meterbus


def telegrams(path):
    for line in open(path, encoding="utf-8"):
        if line.startswith("---"):
            return
        if line.startswith("{"):
            yield json.loads(line)["hex"]
            continue
        words = line.split("#")[0].split()
        if len(words) > 1 and len(words[-1]) == 32:
            words.pop()
        if words:
            yield " ".join(words)


def generated():
    """A telegram with one record for every VIF in every coding, and for every VIFE."""
    chance = random.Random(13757)
    vifs = [bytes([vif]) for vif in range(128)]
    vifs += [bytes([table, vif]) for table in (0xFB, 0xFD) for vif in range(128)]
    vifs += [bytes([vif, vife]) for vif in (0x93, 0xFB, 0xFC, 0xFF) for vife in range(128)]
    vifs += [bytes([0x93, 0xFC, vife]) for vife in range(32)]
    vifs += [b"\x7c\x03HR%", b"\xfc\x03HR%\x74", b"\xfc\x74\x03HR%", b"\xfd\xc8\xfc\x01", b"\xfd\xfd\x02"]
    for vif in vifs:
        for dif in [0x00, 0x01, 0x12, 0x23, 0x34, 0x05, 0x46, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E]:
            for data in values(dif, chance):
                # a level in more than 15 bytes is an error of ours: no meter sends one
                if vif == b"\xfd\x71" and len(data) > 16:
                    continue
                yield long_frame(0x72, HEADER + bytes([dif]) + vif + data)
    for record in [b"\x0f", b"\x1f\x01", b"\x0f\xde\xad", b"\x2f\x2f", b"\x7f", b"\x84\x8f\x0f\x13\x01\x02\x03\x04"]:
        for ci in (0x72, 0x76, 0x78, 0x7A, 0x73):
            yield long_frame(ci, (b"" if ci == 0x78 else HEADER) + record)


HEADER = bytes.fromhex("785634122440010755000000")


def values(dif, chance):
    if dif == 0x0D:
        for lvar in (0x00, 0x03, 0x10, 0xC0, 0xC3, 0xD2, 0xE0, 0xE4, 0xEF, 0xF0, 0xF4):
            length = lvar if lvar < 0xC0 else (2 if lvar < 0xE0 else 1) * (lvar & 0x0F)
            yield bytes([lvar]) + bytes(chance.randrange(0x20, 0x7F) for _ in range(length))
            yield bytes([lvar]) + chance.randbytes(length)
        return
    length = {0: 0, 5: 4, 6: 6, 7: 8, 8: 0, 0xE: 6}.get(dif & 15, dif & 7)
    yield bytes(length)
    if length:
        yield bytes([1] + [0] * (length - 1))
        yield b"\xff" * length
        yield bytes(length - 1) + b"\x80"
        yield bytes(16 * chance.randrange(10) + chance.randrange(10) for _ in range(length))
        yield chance.randbytes(length)
        yield chance.randbytes(length - 1)


def long_frame(ci, data):
    body = bytes([0x08, 0x05, ci]) + data
    return (bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 0xFF, 0x16])).hex()


def theirs(telegram):
    """The document, or None where pyMeterBus raises.

    A wired telegram with the length byte 44 is taken for a wireless one and comes out as nonsense
    without a "head": that is not decoding either.
    """
    try:
        document = meterbus.load(bytes.fromhex(telegram)).to_JSON()
    except Exception:  # whatever it raises, it prints no document
        return None
    return document if '"head"' in document else None


def ours(mbushat, every):
    """One document or None for each telegram: a line that begins with `error` stands for one."""
    done = subprocess.run([mbushat, "decode", "--format", "pymeterbus", "-"], input="\n".join(every) + "\n",
                          capture_output=True, text=True)
    documents, lines = [], []
    for line in done.stdout.split("\n"):
        if line.startswith("error: "):
            documents.append(None)
        elif line or lines:
            lines.append(line)
        if line == "}":
            documents.append("\n".join(lines))
            lines = []
    return documents


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if meterbus.__version__ != "0.8.1":
        sys.exit(f"pyMeterBus {meterbus.__version__} is installed, want 0.8.1")
    own = sorted(pathlib.Path(__file__).parent.glob("telegrams/*.txt"))
    every = [telegram for path in [*own, *sys.argv[2:]] for telegram in telegrams(path)] + list(generated())
    documents = ours(sys.argv[1], every)
    if len(documents) != len(every):
        sys.exit(f"{len(documents)} documents for {len(every)} telegrams")
    same, refused, different = 0, 0, 0
    for telegram, mine in zip(every, documents):
        want = theirs(telegram)
        if mine == want:
            same, refused = same + (want is not None), refused + (want is None)
            continue
        different += 1
        if different > 20:
            continue
        print(f"different: {telegram}")
        for a, b in zip((want or "(exception)").split("\n"), (mine or "(error)").split("\n")):
            if a != b:
                print(f"  pyMeterBus {a}\n  mbushat    {b}")
                break
    print(f"{len(every)} telegrams: {same} the same, {refused} refused by both, {different} different")
    sys.exit(different != 0)


if __name__ == "__main__":
    main()
