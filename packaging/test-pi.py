#!/usr/bin/env python3
"""test-pi.py LAB DEB MBUSHAT [ARMHF]: the arm64 package on an emulated Raspberry Pi with systemd.

LAB is a folder with boot.py, which boots qemu's Raspberry Pi 3 B with a Hat in its device tree;
DEB the arm64 package; MBUSHAT a program of this machine, which simulates the meters behind the
Pi's UART; ARMHF an armhf program, which is run there without systemd. A mosquitto on this machine
gets the readings. Takes three to ten minutes. Exits 1 at the first thing that is not as promised."""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

LAB, DEB, MBUSHAT = sys.argv[1:4]
ARMHF = sys.argv[4] if len(sys.argv) > 4 else None
sys.path.insert(0, LAB)
import boot  # noqa: E402

TELEGRAM = ("683D3D680830721573133093060104700000000C06000000000C14050000000C22578303000C2E010000000C3B00000000"
            "0A5901000A5D01000A610100426C8F21DD16")
tmp = tempfile.TemporaryDirectory(prefix="mbushat-pi-")
started = []


def path(name, text=None):
    p = os.path.join(tmp.name, name)
    if text is not None:
        with open(p, "w", encoding="utf-8") as f:
            f.write(text)
    return p


def check(what, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {what}", flush=True)
    if not ok:
        sys.exit(f"{detail}")


def start(log, *command):
    process = subprocess.Popen(command, stdout=open(path(log), "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    started.append(process)
    return process


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(what, seconds, found, detail=lambda: ""):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.2)
    check(what, False, f"not within {seconds} s\n{detail()}")


def messages():
    """What the subscriber has seen: [(topic, payload)]."""
    with open(path("sub.log"), encoding="utf-8", errors="replace") as f:
        return [tuple(line.rstrip("\n").split(" ", 1)) for line in f if " " in line]


def of(topic):
    return [payload for t, payload in messages() if t == topic]


OPEN, GUARDED, BUS = free_port(), free_port(), free_port()


def peers():
    """The broker (one listener open, one that needs a password), its subscriber and the meters."""
    subprocess.run(["mosquitto_passwd", "-b", "-c", path("passwords"), "pi", "s3cret"], check=True)
    conf = path("mosquitto.conf", f"per_listener_settings true\npersistence false\nuser {os.environ.get('USER', 'root')}\n"
                f"listener {OPEN} 127.0.0.1\nallow_anonymous true\n"
                f"listener {GUARDED} 127.0.0.1\nallow_anonymous false\npassword_file {path('passwords')}\n")
    start("mosquitto.log", "mosquitto", "-c", conf)
    wait("mosquitto listens", 10, lambda: socket.socket().connect_ex(("127.0.0.1", OPEN)) == 0)
    start("sub.log", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(OPEN), "-t", "mbushat/#", "-v", "-q", "1")
    meters = "".join(f'[[meter]]\naddress = {a}\ntelegrams = ["{t}"]\n' for a, t in ((48, TELEGRAM), (49, readdressed(49))))
    start("simulate.log", MBUSHAT, "simulate", path("bus.toml", meters), "--tcp", f"127.0.0.1:{BUS}")
    wait("the meters are there", 10, lambda: socket.socket().connect_ex(("127.0.0.1", BUS)) == 0, lambda: open(path("simulate.log")).read())


def readdressed(address):
    """The telegram, as sent by a meter at another primary address."""
    t = bytearray.fromhex(TELEGRAM)
    t[5] = address
    t[-2] = sum(t[4:-2]) & 0xFF
    return t.hex()


class Systemd:
    """The steps on the Pi that has systemd."""

    def __init__(self, pi):
        self.pi = pi

    def sh(self, command, ok=True, timeout=240):
        status, out = self.pi.sh(command, timeout)
        if ok is not None:
            check(f"# {command}", (status == 0) == ok, f"exit {status}\n" + "\n".join(out))
        return "\n".join(out)

    def journal(self):
        return "\n".join(self.pi.sh("journalctl -u mbushat --no-pager -o cat", 120)[1])

    def powered(self, on):
        wait(f"bus power {'on' if on else 'off'}", 90, lambda: self.pi.bus_power() == on, self.journal)
        check(f"the bus is {'on' if on else 'off'}", True)

    def reading(self, meter, more_than=0):
        wait(f"a reading of {meter}", 120, lambda: len(of(f"mbushat/{meter}/reading")) > more_than, self.journal)
        got = json.loads(of(f"mbushat/{meter}/reading")[-1])
        volume = [m for m in got["measurements"] if m["key"] == "volume"]
        check(f"a reading of {meter} arrives: volume {volume[0]['value']} {volume[0]['unit']}", (volume[0]["value"], volume[0]["unit"]) == (0.05, "m³"))

    def pid(self):
        return self.pi.sh("systemctl show -P MainPID mbushat", 60)[1][-1]

    def installs(self):
        # what udev does to the GPIO must be our own rule's doing
        self.pi.sh("rm -f /etc/udev/rules.d/90-gpio.rules; chown root:root /dev/gpiochip*; chmod 600 /dev/gpiochip*")
        self.sh("dpkg -i /lab/mbushat.deb")
        self.sh("udevadm control --reload; udevadm trigger --settle --subsystem-match=gpio --subsystem-match=tty")
        check("the Hat's UART is /dev/mbushat0", self.sh("readlink /dev/mbushat0").endswith("ttyAMA0"))
        check("the header's GPIO is the group gpio's", "root:gpio:660" in self.sh("stat -c %U:%G:%a /dev/gpiochip0"))
        self.sh("/usr/bin/mbushat hat | grep 'Found M-Bus Master Hat version 0x0005'")
        print(self.sh("systemd-analyze security --no-pager mbushat.service | tail -n 1"))

    def starts(self):
        lines = f'[mqtt]\\nurl = "mqtt://10.0.2.2:{OPEN}"\\n[[meter]]\\nname = "cold_water"\\naddress = 48\\ninterval = "30s"\\n'
        self.sh(f"printf '{lines}' >> /etc/mbushat.toml")
        self.sh("systemctl start mbushat")
        self.reading("cold_water")
        self.powered(True)
        check("the UART is 2400 8E1", (self.pi.uart_mode()["baud"], self.pi.uart_mode()["mode"]) == (2400, "8E1"), self.pi.uart_mode())

    def reloads(self):
        before = self.pid()
        self.sh("printf '[[meter]]\\nname = \"second\"\\naddress = 49\\ninterval = \"30s\"\\n' >> /etc/mbushat.toml")
        self.sh("systemctl reload mbushat")
        self.reading("second")
        self.sh("cp /etc/mbushat.toml /root/good.toml; echo 'nonsense = 1' >> /etc/mbushat.toml")
        self.sh("systemctl reload mbushat", ok=False)
        self.sh("cat /root/good.toml > /etc/mbushat.toml")
        check("a good and a bad reload leave the agent running", self.pid() == before)
        self.reading("cold_water", len(of("mbushat/cold_water/reading")))

    def survives_a_kill(self):
        low = sum("low" in e or " in " in e for _, e in self.pi.events)
        before = len(of("mbushat/cold_water/reading"))
        self.sh("systemctl kill -s KILL --kill-whom=main mbushat")
        wait("the guard switches the bus off", 60, lambda: sum("low" in e or " in " in e for _, e in self.pi.events) > low, self.journal)
        check("after SIGKILL the guard switches the bus off", True)
        self.powered(True)
        self.reading("cold_water", before)

    def takes_a_credential(self):
        before = len(of("mbushat/cold_water/reading"))
        self.sh("mkdir -p /etc/credstore; umask 077; printf s3cret > /etc/credstore/mbushat.mqtt-password")
        self.sh(f"sed -i 's,^url = .*,url = \"mqtt://10.0.2.2:{GUARDED}\"\\nusername = \"pi\",' /etc/mbushat.toml")
        self.sh("systemctl restart mbushat")
        self.reading("cold_water", before)

    def stops(self):
        self.sh("systemctl stop mbushat")
        self.powered(False)
        check("it stopped well", self.sh("systemctl show -P Result mbushat").endswith("success"), self.journal())
        check("bridge/state says offline", of("mbushat/bridge/state")[-1] == "offline")
        check("no complaint of systemd or the agent in the journal",
              not re.search(r"(?i)denied|failed to|not permitted|panick|watchdog|timed out", self.journal().replace("nonsense", "")), self.journal())
        self.sh("dpkg --purge mbushat && test ! -e /etc/mbushat.toml -a ! -e /var/lib/mbushat")


def with_systemd():
    with boot.Pi(files=[f"{DEB}:/lab/mbushat.deb"], uart=f"tcp:127.0.0.1:{BUS}", net=True, system=True) as pi:
        check("the Pi boots", pi.wait_ready(300), pi.lines[-20:])
        on = Systemd(pi)
        for step in (on.installs, on.starts, on.reloads, on.survives_a_kill, on.takes_a_credential, on.stops):
            print(f"--- {step.__name__} [{pi.t():.0f} s]", flush=True)
            step()


def armhf():
    config = path("armhf.toml", f'[mqtt]\nurl = "mqtt://10.0.2.2:{OPEN}"\n[store]\ndirectory = "/tmp"\n[[meter]]\nname = "armhf"\naddress = 48\ninterval = "30s"\n')
    with boot.Pi(ARMHF, ["--config", "/etc/mbushat.toml", "run"], files=[f"{config}:/etc/mbushat.toml"], user="mbushat",
                 uart=f"tcp:127.0.0.1:{BUS}", net=True) as pi:
        log = lambda: "\n".join(s for _, s in pi.lines)  # noqa: E731
        check("the Pi boots", pi.wait_ready(300), log())
        wait("a reading by the armhf program", 120, lambda: of("mbushat/armhf/reading"), log)
        check("a reading by the armhf program arrives", True)
        pi.signal("TERM")
        check("SIGTERM ends it with exit 0", pi.wait_exit(60) == 0, log())
        check("the bus is off", not pi.bus_power())


try:
    peers()
    with_systemd()
    if ARMHF:
        armhf()
    print("PASS")
finally:
    for p in started:
        p.terminate()
