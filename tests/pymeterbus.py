#!/usr/bin/env python3
"""Compare `mbushat decode --format pymeterbus` with pyMeterBus itself, byte for byte.

usage: pymeterbus.py MBUSHAT FILE...

Needs pyMeterBus 0.8.1 (pip install pyMeterBus==0.8.1). FILE has one telegram a line: hex digits, or
a JSON object with a member "hex". Exit status 0 when every telegram gives the same document, or
an error on both sides.
"""
import json
import subprocess
import sys

import meterbus


def telegrams(path):
    for line in open(path, encoding="utf-8"):
        if line.startswith("{"):
            yield json.loads(line)["hex"]
        elif line.split("#")[0].strip():
            yield line.split("#")[0].strip()


def theirs(telegram):
    """The document, or None where pyMeterBus raises.

    A wired telegram with the length byte 44 is taken for a wireless one and comes out as nonsense
    without a "head": that is no decoding either.
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
    every = [telegram for path in sys.argv[2:] for telegram in telegrams(path)]
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
        print(f"different: {telegram}")
        for a, b in zip((want or "(exception)").split("\n"), (mine or "(error)").split("\n")):
            if a != b:
                print(f"  pyMeterBus {a}\n  mbushat    {b}")
                break
    print(f"{len(every)} telegrams: {same} the same, {refused} refused by both, {different} different")
    sys.exit(different != 0)


if __name__ == "__main__":
    main()
