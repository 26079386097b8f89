#!/usr/bin/env python3
"""pi.py LAB HOST_MBUSHAT PI_MBUSHAT: the agent on an emulated Raspberry Pi 3 with the Hat.

LAB holds boot.py, whose class Pi boots qemu with a PL011, GPIO registers and the Hat's device tree,
and looks at the hardware from outside. HOST_MBUSHAT simulates the meters on the host's side of the
UART, PI_MBUSHAT (aarch64, without default features) runs in the guest as user mbushat, and a mosquitto
on the host takes what it publishes. Standard library only. Exits 1 if anything is not as promised."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

if len(sys.argv) != 4:
    sys.exit(__doc__)
LAB, HOST, PI = sys.argv[1], os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
sys.path.insert(0, LAB)
import boot  # noqa: E402

BUS = '[[meter]]\nmodel = "ats_ec20"\naddress = 48\n\n[[meter]]\nmodel = "eastron_sdm220"\naddress = 1\n'
CONFIG = """[mqtt]
url = "mqtt://10.0.2.2:{port}"
[store]
directory = "/tmp/store"
[[meter]]
name = "cold_water"
address = 48
interval = "30s"
[[meter]]
name = "mains"
address = 1
interval = "30s"
"""
tmp = tempfile.TemporaryDirectory(prefix="mbushat-pi-")
PI = shutil.copy(PI, os.path.join(tmp.name, "mbushat"))  # the guest calls it by its name
bad = 0


def path(name, text=None):
    full = os.path.join(tmp.name, name)
    if text is not None:
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(full, 0o644)
    return full


def check(what, ok, detail=""):
    global bad
    bad += not ok
    print(f"  {'ok  ' if ok else 'FAIL'} {what}{'' if ok else f': {detail}'}", flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Wire:
    """Between the emulated UART and the simulated meters: notes what the hardware was like at the first byte."""

    def __init__(self, meters):
        self.meters, self.pi, self.first = meters, None, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            uart, _ = self.listener.accept()
            meters = socket.create_connection(("127.0.0.1", self.meters))
            for source, sink, from_pi in ((uart, meters, True), (meters, uart, False)):
                threading.Thread(target=self._copy, args=(source, sink, from_pi), daemon=True).start()

    def _copy(self, source, sink, from_pi):
        try:
            while data := source.recv(4096):
                if from_pi and self.first is None and self.pi is not None:
                    self.first = {"power": self.pi.bus_power(), "uart": self.pi.uart_mode(), "t": self.pi.t()}
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)  # close alone would leave the other thread in recv
            except OSError:
                pass


class Messages:
    """What arrives at the broker, newest of each topic."""

    def __init__(self, port):
        self.latest, self.seen = {}, []
        self.process = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-v", "-t", "mbushat/#"],
                                        stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        for line in self.process.stdout:
            topic, _, payload = line.rstrip("\n").partition(" ")
            self.latest[topic] = payload
            self.seen.append((topic, payload))

    def wait(self, topic, seconds, want=lambda payload: True):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if topic in self.latest and want(self.latest[topic]):
                return self.latest[topic]
            time.sleep(0.2)
        return None


def lines(pi):
    return "\n".join(text for _, text in pi.lines)


def guest(config, wire, program_args=("run",), **kw):
    files = [f"{config}:/etc/mbushat.toml"]
    pi = boot.Pi(PI, program_args, files, user="mbushat", uart=f"tcp:127.0.0.1:{wire.port}", net=True, **kw)
    wire.pi, wire.first = pi, None
    return pi


def stop(pi, messages):
    pi.signal("TERM")
    check("SIGTERM ends it with exit code 0", pi.wait_exit(30) == 0, f"{pi.exit}")
    # The Hat pulls a pin low that is an input, which is what a mainline kernel makes of it.
    off = ("out", 0) if pi.persist else ("in", 0)
    check("the bus is off after SIGTERM", pi.gpio() == off, pi.gpio())
    offline = messages.wait("mbushat/bridge/state", 10, lambda payload: payload == "offline")
    check("bridge/state is offline", offline == "offline", messages.latest.get("mbushat/bridge/state"))


def reads(title, config, wire, messages, **kw):
    """The meters are read and published, then SIGTERM."""
    print(title, flush=True)
    messages.latest.clear()
    with guest(config, wire, **kw) as pi:
        if not pi.wait_ready(240):
            return check("boot", False, "not ready")
        state = messages.wait("mbushat/cold_water/state", 120)
        mains = messages.wait("mbushat/mains/state", 60)
        check("the Hat is found", "Found M-Bus Master Hat version 0x0005" in lines(pi), lines(pi))
        check("GPIO 26 is high before the first byte", bool(wire.first and wire.first["power"]), wire.first)
        mode = wire.first["uart"] if wire.first else {}
        check("the UART is 2400 8E1", (mode.get("baud"), mode.get("mode")) == (2400, "8E1"), mode)
        values = json.loads(state or "{}", parse_float=str)
        check("the flow meter's values arrive", (values.get("volume"), values.get("on_time")) == ("0.05", 38357), state)
        check("the electricity meter's values arrive", "active_energy_6" in json.loads(mains or "{}"), mains)
        stop(pi, messages)


def no_hat(config, wire, messages):
    print("no Hat: a plain error and what to check", flush=True)
    with guest(config, wire, hat=None) as pi:
        if not pi.wait_ready(240):
            return check("boot", False, "not ready")
        before = pi.gpio()
        check("it says so", pi.wait_line("no M-Bus Master Hat", 60), lines(pi))
        check("and what to check", "40 pins" in lines(pi) and "hat = false" in lines(pi), lines(pi))
        time.sleep(3)
        check("the pin is not touched", pi.gpio() == before and not pi.bus_power(), pi.gpio())
        check("nothing is sent", wire.first is None, wire.first)
        pi.signal("TERM")
        check("SIGTERM ends it with exit code 0", pi.wait_exit(30) == 0, f"{pi.exit}")
        status, out = pi.sh("mbushat hat")
        check("mbushat hat fails with the same words", status == 1 and "no M-Bus Master Hat" in "\n".join(out), out)
        status, out = pi.sh("mbushat hat off")
        check("mbushat hat off succeeds: nothing to switch off", status == 0, out)


def killed(config, wire, messages):
    print("Raspberry Pi OS keeps the pin of a killed process: ExecStopPost=mbushat hat off", flush=True)
    messages.latest.clear()
    with guest(config, wire) as pi:
        if not pi.wait_ready(240):
            return check("boot", False, "not ready")
        check("it reads", messages.wait("mbushat/cold_water/reading", 120) is not None, lines(pi))
        pi.signal("KILL")
        pi.wait_exit(30)
        check("the bus is still on after SIGKILL", pi.bus_power(), pi.gpio())
        status, out = pi.sh("su -s /bin/sh mbushat -c 'mbushat hat off'")
        check("mbushat hat off switches it off", status == 0 and pi.gpio() == ("out", 0), (status, out, pi.gpio()))
        status, out = pi.sh("su -s /bin/sh mbushat -c 'mbushat hat on'")
        check("mbushat hat on leaves it on", status == 0 and pi.bus_power(), (status, out, pi.gpio()))


def strict(config, wire):
    print("a mainline kernel drops the pin of a process that ended: hat on holds it", flush=True)
    with guest(config, wire, ("hat", "on"), gpiomem=False, persist=False) as pi:
        if not pi.wait_ready(240):
            return check("boot", False, "not ready")
        check("it says that it holds the pin", pi.wait_line("Ctrl-C", 60), lines(pi))
        check("the bus is on", pi.bus_power(), pi.gpio())
        pi.signal("INT")
        check("Ctrl-C ends it with exit code 0", pi.wait_exit(30) == 0, f"{pi.exit}")
        check("the bus is off", not pi.bus_power(), pi.gpio())
        _, out = pi.sh("su -s /bin/sh mbushat -c 'mbushat hat on >/dev/null 2>&1 & echo $!'")
        end = time.monotonic() + 20
        while not pi.bus_power() and time.monotonic() < end:
            time.sleep(0.5)
        check("the bus is on again", pi.bus_power(), pi.gpio())
        pi.sh("killall -9 mbushat")
        time.sleep(1)
        check("the bus is off after SIGKILL too", not pi.bus_power(), pi.gpio())


def main():
    port, wire_port = free_port(), free_port()
    conf = path("mosquitto.conf", f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    broker = subprocess.Popen(["mosquitto", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    meters = subprocess.Popen([HOST, "simulate", "--tcp", f"127.0.0.1:{wire_port}", path("bus.toml", BUS)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    config = path("mbushat.toml", CONFIG.format(port=port))
    messages, wire = Messages(port), Wire(wire_port)
    try:
        reads("Raspberry Pi OS", config, wire, messages)
        reads("Debian's kernel: no /dev/gpiomem, the pin is dropped at close", config, wire, messages, gpiomem=False,
              persist=False)
        no_hat(config, wire, messages)
        killed(config, wire, messages)
        strict(config, wire)
    finally:
        for process in (messages.process, meters, broker):
            process.terminate()
            process.wait(10)
    print("PASS" if not bad else f"{bad} not as promised")
    sys.exit(bool(bad))


main()
