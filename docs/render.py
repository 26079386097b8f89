#!/usr/bin/env python3
"""render.py MBUSHAT: the book's pictures of demo, scan, decode and doctor, from the program's own output.

Each command runs on a terminal of its own (a pty), as in front of a person, with simulated meters;
what stands on that terminal at the end is drawn as docs/src/pictures/NAME.svg. The doctor looks at the
files of a Pi 3 (--root) with a console on the UART, and at a real mosquitto; the one finding that speaks
of --root is left out. Standard library only."""
import fcntl
import html
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

PICTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "src", "pictures")
# of the foreground codes 30 to 37
COLOURS = ["#57606a", "#c01c28", "#1a7f37", "#8a5a00", "#0550ae", "#8250df", "#116b72", "#1f2328"]
PLAIN, DIM, GROUND, EDGE = "#1f2328", "#636c76", "#ffffff", "#d0d7de"
CELL, LINE, MARGIN = 8.4, 18, 16


def on_terminal(command, columns, seconds):
    """What the command writes on a terminal that wide; after so many seconds it gets Ctrl-C."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8", TZ="UTC")
        os.environ.pop("NO_COLOR", None)
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    output, end = b"", time.monotonic() + seconds
    while True:
        if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            os.kill(pid, signal.SIGINT)
            end = time.monotonic() + 10
            continue
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        output += chunk
    os.waitpid(pid, 0)
    return output.decode()


class Screen:
    """Lines of (character, colour, bold), as far as our own output needs a terminal."""

    def __init__(self, columns):
        self.columns, self.lines, self.column = columns, [[]], 0
        self.colour, self.bold = PLAIN, False

    def feed(self, text):
        for token in re.findall(r"\x1b\[[\d;]*[A-Za-z]|.", text, re.DOTALL):
            if token.startswith("\x1b"):
                self.escape(token[2:-1], token[-1])
            elif token == "\r":
                self.column = 0
            elif token == "\n":
                self.lines.append([])
                self.column = 0
            else:
                self.put(token)
        return self

    def put(self, character):
        if self.column == self.columns:
            self.feed("\n")
        line = self.lines[-1]
        line.extend([(" ", PLAIN, False)] * (self.column - len(line)))
        line[self.column:self.column + 1] = [(character, self.colour, self.bold)]
        self.column += 1

    def escape(self, numbers, what):
        if what == "K":
            del self.lines[-1][self.column:]
        elif what == "m":
            for code in [int(n or 0) for n in numbers.split(";")]:
                if code == 0:
                    self.colour, self.bold = PLAIN, False
                elif code == 1:
                    self.bold = True
                elif code == 2:
                    self.colour = DIM
                elif 30 <= code <= 37:
                    self.colour = COLOURS[code - 30]
                else:
                    sys.exit(f"render.py: what is colour {code}?")
        else:
            sys.exit(f"render.py: what is ESC[{numbers}{what}?")


def drawn(line, y):
    """A line as SVG: a span for each run of one style, with its width told, so that columns stay."""
    runs = []
    for column, (character, *style) in enumerate(line):
        if runs and runs[-1][2] == style:
            runs[-1][1] += character
        else:
            runs.append([column, character, style])
    for column, text, (colour, bold) in runs:
        left = len(text) - len(text.lstrip())
        column, text = column + left, text.strip()
        if text:
            weight = ' font-weight="bold"' if bold else ""
            yield (f'<text x="{MARGIN + column * CELL:.1f}" y="{y}" fill="{colour}"{weight} textLength="{len(text) * CELL:.1f}" '
                   f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{html.escape(text)}</text>')


def draw(name, typed, output, columns, rows=None):
    screen = Screen(columns).feed(f"\x1b[32m$\x1b[0m \x1b[1m{typed}\x1b[0m\n{output}")
    lines = screen.lines[:rows]
    while lines and not lines[-1]:
        lines.pop()
    width, height = MARGIN * 2 + columns * CELL, MARGIN * 2 + len(lines) * LINE
    body = [span for place, line in enumerate(lines) for span in drawn(line, MARGIN + 13 + place * LINE)]
    text = "\n".join("".join(c for c, *_ in line) for line in lines)
    path = os.path.join(PICTURES, f"{name}.svg")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" '
                f'font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">\n'
                f'<title>{html.escape(typed)}</title>\n<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1}" rx="8" fill="{GROUND}" stroke="{EDGE}"/>\n'
                + "\n".join(body) + "\n</svg>\n")
    for secret in (os.path.expanduser("~"), tempfile.gettempdir(), socket.gethostname()):
        if secret in text:
            sys.exit(f"render.py: {path} would show {secret}:\n{text}")
    print(f"{path}: {len(lines)} lines")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def simulated(mbushat, *arguments):
    """Simulated meters: the process, and its port."""
    process = subprocess.Popen([mbushat, "simulate", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return process, process.stdout.readline().strip()


def demo(mbushat):
    draw("demo", "mbushat demo", on_terminal([mbushat, "demo"], 80, 20), 80, 19)


def decode(mbushat):
    telegram = ("683D3D680830721573133093060104700000000C06000000000C14050000000C22578303000C2E010000000C3B00000000"
                "0A5901000A5D01000A610100426C8F21DD16")
    typed = "mbushat decode 683D3D6808307215731330930601047000…"
    draw("decode", typed, on_terminal([mbushat, "decode", telegram], 88, 20), 88)


def scan(mbushat):
    meters = (("ats_ec20", 3, None), ("heat", 5, 67200512), ("cold_water", 7, 21880341), ("cold_water", 9, 21880343),
              ("warm_water", 9, 21880342), ("electricity", 20, 50003117))
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        for model, address, number in meters:
            file.write(f'[[meter]]\nmodel = "{model}"\naddress = {address}\n' + (f'id = "{number}"\n' if number else ""))
        file.flush()
        bus, port = simulated(mbushat, file.name)
        try:
            command = [mbushat, "scan", "--port", port, "--to", "20"]
            shown = on_terminal(command, 80, 120).replace(port, "/dev/ttyUSB0")
            draw("scan", "mbushat scan --port /dev/ttyUSB0 --to 20", shown, 80)
        finally:
            bus.terminate()


def pi_root(root, mbushat):
    """A Pi 3 with the Hat, whose kernel still talks on the UART: (its processes, its broker's port)."""
    with open(os.path.join(root, "bus.toml"), "w", encoding="utf-8") as f:
        f.write('[[meter]]\nmodel = "ats_ec20"\naddress = 48\n')
    bus, port = simulated(mbushat, os.path.join(root, "bus.toml"))
    os.chmod(port, 0o660)
    broker = free_port()
    console = "console=serial0,115200 console=tty1 root=/dev/mmcblk0p2 rootwait\n"
    files = {
        "proc/device-tree/model": "Raspberry Pi 3 Model B Plus Rev 1.3\0",
        "proc/device-tree/hat/product": "M-Bus Master\0",
        "proc/device-tree/hat/product_ver": "0x0005\0",
        "proc/cmdline": console,
        "boot/firmware/config.txt": "enable_uart=1\ndtoverlay=disable-bt\n",
        "boot/firmware/cmdline.txt": console,
        "lib/systemd/system/mbushat.service": "[Service]\nUser=mbushat\nSupplementaryGroups=dialout gpio\n",
        "etc/passwd": "root:x:0:0::/root:/bin/sh\nmbushat:x:990:990::/nonexistent:/usr/sbin/nologin\n",
        "etc/group": f"root:x:0:\ndialout:x:{os.stat(port).st_gid}:\ngpio:x:997:\nmbushat:x:990:\n",
        "run/systemd/timesync/synchronized": "",
        "etc/mbushat.toml": f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\n[[meter]]\nname = "cold_water"\naddress = 48\n',
    }
    for name, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), "w", encoding="utf-8") as f:
            f.write(text)
    os.makedirs(os.path.join(root, "dev"))
    os.symlink(port, os.path.join(root, "dev/ttyAMA0"))
    os.symlink("ttyAMA0", os.path.join(root, "dev/serial0"))
    conf = os.path.join(root, "mosquitto.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write(f"listener {broker} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    mosquitto = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or sys.exit("render.py: mosquitto is missing")
    server = subprocess.Popen([mosquitto, "-c", conf], stderr=subprocess.DEVNULL)
    time.sleep(1)
    at_broker = ["-h", "127.0.0.1", "-p", str(broker)]
    # Home Assistant listens, and an agent was here before
    listener = subprocess.Popen(["mosquitto_sub", *at_broker, "-t", "homeassistant/#"], stdout=subprocess.DEVNULL)
    for topic in ("mbushat/bridge/state", "mbushat/cold_water/availability"):
        subprocess.run(["mosquitto_pub", *at_broker, "-r", "-t", topic, "-m", "online"], check=True)
    return (bus, server, listener), broker


def doctor(mbushat):
    with tempfile.TemporaryDirectory() as root:
        processes, broker = pi_root(root, mbushat)
        try:
            command = [mbushat, "--config", os.path.join(root, "etc/mbushat.toml"), "doctor", "--root", root]
            shown = on_terminal(command, 80, 60).replace(root, "").replace(str(broker), "1883")
            # on a real machine the pin is switched here
            shown = re.sub(r"[^\n]*skipped[^\n]*bus power[^\n]*\n(?: {10,}[^\n]*\n)*", "", shown)
            draw("doctor", "mbushat doctor", shown, 80)
        finally:
            for process in processes:
                process.terminate()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    mbushat = os.path.abspath(sys.argv[1])
    for picture in (decode, scan, doctor, demo):
        picture(mbushat)


main()
