#!/usr/bin/env python3
"""equivalents.py MBUSHAT: what people type today with libmbus, pyMeterBus and mbus-httpd, and what does
the same here, run on a simulated bus. Prints a row for each; exits 1 where one does not do what it
should."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

mbushat = os.path.abspath(sys.argv[1])
place = pathlib.Path(tempfile.mkdtemp(prefix="mbushat-equivalents-"))
pty = str(place / "bus")
frame = "68 13 13 68 08 05 73 78 56 34 12 0A 00 E9 7E 01 00 00 00 35 01 00 00 3C 16"
(place / "dump.bin").write_bytes(bytes.fromhex(frame))
(place / "one.toml").write_text('[[meter]]\nmodel = "heat"\naddress = 5\nid = "67200512"\n')

# what is typed today, what does it here, exit code, what must be printed
PORT = f"--port {pty}"
ROWS = [
    ("mbus-serial-request-data DEV 5", f"read 5 {PORT} --format json", 0, r'"id": "67200512"'),
    ("the same, as the agent publishes it", f"read 5 {PORT} --format reading", 0, r'"key":"energy"'),
    ("the same, a line a telegram", f"read 5 7 {PORT} --format jsonl", 0, r"^\{.*\}\n\{.*\}\n$"),
    ("the same, XML", f"read 5 {PORT} --format xml", 0, r"<MBusData>[\s\S]*<Unit>Energy \(10 Wh\)</Unit>"),
    ("pyMeterBus JSON", f"read 5 {PORT} --format pymeterbus", 0, r'"records": \['),
    ("a silent one among others", f"read 5 9 {PORT}", 1, r"9: no answer"),
    ("address 254, several meters", f"read 254 {PORT}", 1, r"254"),
    ("pyMeterBus --retries, timeouts", f"read 9 {PORT} --retries 0 --timeout 200ms", 1, r"9: no answer"),
    ("mbus-serial-scan DEV", f"scan {PORT} --to 21", 0, r"67200512[\s\S]*50003117"),
    ("the same for scripts", f"scan {PORT} --to 8 --format json", 0, r'"fabrication_number"'),
    ("mbus-serial-scan-secondary DEV MASK", f"scan --secondary 2188034? {PORT}", 0, r"21880341[\s\S]*21880342"),
    ("mbus-serial-select-secondary DEV ADDR", f"send 53FD5212052067FFFFFFFF {PORT}", 0, r"<- E5"),
    ("mbus-serial-raw-send DEV HEX", f"send 4005 {PORT}", 0, r"<- E5"),
    ("mbus-serial-set-address DEV 5 9", f"meter set-address 5 9 --yes {PORT}", 0, r"9"),
    ("the same, back", f"meter set-address 9 5 --yes {PORT}", 0, r"5"),
    ("mbus-serial-switch-baudrate, dry", f"meter set-baud 5 9600 --dry-run {PORT}", 0, r"Nothing was sent"),
    ("mbus-tcp-application-reset", f"meter reset 5 --yes {PORT}", 0, r"reset"),
    ("the same with a subcode", f"meter select-application 5 50 --yes {PORT}", 0, r"50"),
    ("mbus_parse_hex", f"decode {frame.replace(' ', '')}", 0, r"12345678"),
    ("mbus_parse FILE (binary)", f"decode {place}/dump.bin --format json", 0, r'"id":"12345678"|"id": "12345678"'),
    ("-d, the bytes on the wire", f"read 5 {PORT} --wire", 0, r"-> 10 7B 05 80 16"),
    ("mbus-httpd GET /mbus/hat", "hat --format json", None, r'"product_id"'),
    ("unnamed values", f"profiles unknown 5 {PORT}", 0, r""),
]


def run(words):
    return subprocess.run([mbushat, *words.split()], capture_output=True, text=True, timeout=120)


def main():
    bus = subprocess.Popen([mbushat, "simulate", "--link", pty], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    bus.stdout.readline()
    failed = 0
    try:
        for today, here, code, printed in ROWS:
            done = run(here)
            right = code in (None, done.returncode) and re.search(printed, done.stdout + done.stderr, re.M)
            failed += not right
            shown = here.replace(PORT, "--port DEV").replace(str(place) + "/", "").replace(frame.replace(" ", ""), "HEX")
            print(f"| `{today}` | `{shown}` | exit {done.returncode} | {'ok' if right else 'FAILED'} |")
            if not right:
                print(done.stdout[-600:], done.stderr[-600:])
    finally:
        bus.terminate()
        bus.wait()
    alone()
    sys.exit(f"{failed} of {len(ROWS)} failed" if failed else print(f"PASS: {len(ROWS)} rows"))


def alone():
    """254 reads the meter that is alone on its bus."""
    bus = subprocess.Popen([mbushat, "simulate", str(place / "one.toml"), "--link", pty],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    bus.stdout.readline()
    done = run(f"read 254 {PORT} --format json")
    bus.terminate()
    bus.wait()
    if done.returncode or "67200512" not in done.stdout:
        sys.exit(f"FAILED: read 254 of a single meter: {done.stdout} {done.stderr}")
    print("| `pyMeterBus, address 254` | `read 254 --port DEV` | exit 0 | ok |")


main()
