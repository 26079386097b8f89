"""A mosquitto of this machine, and telegrams to be repeated by a meter that is none: for book.py and schemas.py."""
import os
import shutil
import sys

import broker_lab as lab


def mosquitto(port):
    config = lab.write(f"mosquitto-{port}.conf", f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n"
                       + ("user root\n" if os.geteuid() == 0 else ""))
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or sys.exit("mosquitto is missing")
    lab.start("mosquitto", [program, "-c", config])
    lab.until("mosquitto listens", 20, lambda: lab.answers(port))


def telegram(address, ident, maker, medium, records):
    """A long frame with a long header; the records as hex."""
    number = sum((ord(letter) - 64) << shift for letter, shift in zip(maker, (10, 5, 0)))
    header = bytes.fromhex(ident)[::-1] + number.to_bytes(2, "little") + bytes([1, medium, 1, 0, 0, 0])
    body = bytes([8, address, 0x72]) + header + bytes.fromhex(records)
    return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 255, 0x16])
