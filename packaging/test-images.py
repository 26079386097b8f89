#!/usr/bin/env python3
"""test-images.py MBUSHAT IMAGE...: runs what release.sh makes: container images and add-on images (OCI
archives) and the static armv6 program (a tarball), each against the same broker, which needs a
password, and the same simulated meters, which MBUSHAT, a program of this machine, serves.

Images are run by buildah without an engine, those of another architecture by qemu-user-static; armv6
by qemu-arm as the processor of a Pi Zero, which finds the broker by /etc/hosts and by DNS. It all
happens in a network of its own, with a name server and, for `homeassistant.local`, an Avahi of its own.
Needs root, buildah, qemu-user-static, mosquitto, avahi-daemon and iproute2. Exits 1 at the first thing
that is not as promised."""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "homeassistant-addon"))
from supervisor import TOKEN, Supervisor, service  # noqa: E402

CACHE = os.environ.get("MBUSHAT_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mbushat-packaging")
BUILDAH = ["buildah", "--root", f"{CACHE}/containers", "--runroot", f"{CACHE}/containers-run", "--storage-driver", "overlay"]
TELEGRAM = ("683D3D680830721573133093060104700000000C06000000000C14050000000C22578303000C2E010000000C3B00000000"
            "0A5901000A5D01000A610100426C8F21DD16")
USER, PASSWORD = "addons", 'quote " backslash \\ ü'
HOST, MDNS, DNS_NAME, HOSTS_NAME = "192.0.2.1", "homeassistant.local", "broker.example", "broker-of-hosts"
UID = 4321
tmp = tempfile.TemporaryDirectory(prefix="mbushat-images-")
started, containers = [], []


def path(name, text=None, mode=0o644):
    p = os.path.join(tmp.name, name)
    if text is not None:
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(p, mode)
    return p


def check(what, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {what}", flush=True)
    if not ok:
        sys.exit(f"{detail}")


def wait(what, seconds, found, detail=lambda: ""):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.2)
    return check(what, False, f"not within {seconds} s\n{detail()}")


def start(log, *command, env=None):
    with open(path(log), "ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, env=env)
    started.append(process)
    return process


def log_of(name):
    with open(path(name), encoding="utf-8", errors="replace") as f:
        return f.read()


def stop(process):
    """As an engine does: SIGTERM to what runs in the container, and to the runner around it."""
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(60)


def messages(topic):
    return [line.split(" ", 1)[1] for line in log_of("sub.log").splitlines() if line.startswith(f"{topic} ")]


def free_port():
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


def network():
    for command in ("link set lo up", "link add lan0 type veth peer lan1", f"addr add {HOST}/24 dev lan0", "link set lan0 up", "link set lan1 up"):
        subprocess.run(["ip", *command.split()], check=True)
    # seen by the programs that are run without a container
    for name, text in (("hosts", f"127.0.0.1 localhost\n{HOST} {HOSTS_NAME}\n"), ("resolv.conf", "nameserver 127.0.0.1\n"),
                       ("nsswitch.conf", "hosts: files mdns4_minimal [NOTFOUND=return] dns\n")):
        subprocess.run(["mount", "--bind", path(name, text), os.path.realpath(f"/etc/{name}")], check=True)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    threading.Thread(target=name_server, args=(server,), daemon=True).start()


def name_server(server):
    """Knows the IPv4 address of one name (RFC 1035)."""
    known = b"".join(bytes([len(label)]) + label.encode() for label in DNS_NAME.split(".")) + b"\0"
    while True:
        query, client = server.recvfrom(512)
        name, kind = query[12:12 + len(known)], query[12 + len(known):14 + len(known)]
        question = query[12:16 + len(known)] if name == known else query[12:]
        answers = name == known and kind == b"\0\1"
        head = query[:2] + struct.pack(">HHHHH", 0x8180 if name == known else 0x8183, 1, int(answers), 0, 0)
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(HOST) if answers else b""
        server.sendto(head + question + record, client)


def peers(mbushat, broker, bus):
    subprocess.run(["mosquitto_passwd", "-b", "-c", path("passwords"), USER, PASSWORD], check=True)
    os.chmod(path("passwords"), 0o644)
    conf = path("mosquitto.conf", f"listener {broker}\nallow_anonymous false\npassword_file {path('passwords')}\npersistence false\nuser root\n")
    start("mosquitto.log", "mosquitto", "-c", conf)
    start("simulate.log", mbushat, "simulate", path("bus.toml", f'[[meter]]\naddress = 48\ntelegrams = ["{TELEGRAM}"]\n'), "--tcp", f"127.0.0.1:{bus}")
    for port, log in ((broker, "mosquitto.log"), (bus, "simulate.log")):
        wait("broker and meters are up", 20, lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, lambda: log_of(log))  # noqa: B023
    start("sub.log", "mosquitto_sub", "-p", str(broker), "-u", USER, "-P", PASSWORD, "-t", "#", "-v", "-q", "1")


def avahi():
    conf = path("avahi.conf", "[server]\nhost-name=homeassistant\ndomain-name=local\nuse-ipv6=no\nallow-interfaces=lan0\nenable-dbus=no\n")
    os.makedirs("/run/avahi-daemon", exist_ok=True)
    start("avahi.log", "avahi-daemon", "-f", conf, "--no-chroot", "--no-rlimits")
    wait("avahi is up", 30, lambda: "Server startup complete" in log_of("avahi.log"), lambda: log_of("avahi.log"))


class Image:
    """A container of an OCI archive, and what its image says of itself."""

    def __init__(self, archive):
        done = subprocess.run([*BUILDAH, "from", "--quiet", "--pull-never", f"oci-archive:{archive}"], capture_output=True, text=True)
        check("it is an OCI archive", done.returncode == 0, done.stderr)
        self.name = done.stdout.strip()
        containers.append(self.name)
        about = json.loads(subprocess.run([*BUILDAH, "inspect", self.name], capture_output=True, check=True).stdout)["OCIv1"]
        self.config, self.architecture = about["config"], about["architecture"] + about.get("variant", "")

    def run(self, log, *command, user=None, volumes=(), env=()):
        """`command`, else the image's own, as an engine would start it."""
        config = self.config
        command = [*(config.get("Entrypoint") or []), *(command or config["Cmd"])]
        options = [f"--user={user or config.get('User') or 'root'}", *(f"--volume={v}" for v in volumes), *(f"--env={e}" for e in env)]
        return start(log, *BUILDAH, "run", "--isolation", "chroot", *options, self.name, "--", *command)


def config(name, url, bus, store="/var/lib/mbushat"):
    password = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    return (f'[mqtt]\nurl = "{url}"\nusername = "{USER}"\npassword = "{password}"\nbase_topic = "{name}"\n[store]\ndirectory = "{store}"\n'
            f'[[bus]]\nname = "b"\nport = "tcp://127.0.0.1:{bus}"\n[[meter]]\nname = "cold_water"\naddress = 48\n')


def reads(name, log, seconds=120):
    """The agent `name` publishes the meter's reading."""
    wait(f"{name}: a reading", seconds, lambda: messages(f"{name}/cold_water/reading"), lambda: log_of(log))
    reading = json.loads(messages(f"{name}/cold_water/reading")[0])
    volume = [m["value"] for m in reading["measurements"] if m["key"] == "volume"]
    check(f"{name}: a reading of a simulated meter is at the broker: volume {volume[0]} m³", volume == [0.05], reading)


def ends(name, process, log):
    stop(process)
    wait(f"{name}: offline", 30, lambda: messages(f"{name}/bridge/state")[-1:] == ["offline"], lambda: log_of(log))
    check(f"{name}: SIGTERM ends it, and it says that it is offline", True)


def uids_of(command):
    """Under which users a program of that name runs."""
    uids = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
            if command.encode() in words:
                uids.add(os.stat(f"/proc/{pid}").st_uid)
        except OSError:
            pass
    return uids


def container_image(archive, broker, bus):
    image = Image(archive)
    name = f"image-{image.architecture}"
    check(f"{name}: it does not run as root", image.config["User"] == "990:990")
    log = f"{name}.demo.log"
    demo = image.run(log, "demo")
    wait(f"{name}: the demo", 120, lambda: log_of(log).count("volume") or log_of(log).count("energy"), lambda: log_of(log))
    check(f"{name}: the demo prints readings", True)
    stop(demo)

    conf = path(f"{name}.toml", config(name, f"mqtt://127.0.0.1:{broker}", bus), 0o640)
    os.chown(conf, UID, UID)
    log = f"{name}.log"
    agent = image.run(log, user=f"{UID}:{UID}", volumes=[f"{conf}:/etc/mbushat.toml:ro"])
    reads(name, log)
    check(f"{name}: it runs as the owner of the configuration, whose mode is 0640", UID in uids_of("/usr/bin/mbushat"), uids_of("/usr/bin/mbushat"))
    ends(name, agent, log)

    name += "-mdns"
    conf, log = path(f"{name}.toml", config(name, f"mqtt://{MDNS}:{broker}", bus)), f"{name}.log"
    without = image.run(log, volumes=[f"{conf}:/etc/mbushat.toml:ro"])
    wait(f"{name}: the failure", 120, lambda: "host name" in log_of(log), lambda: log_of(log))
    stop(without)
    check(f"{name}: without the host's Avahi {MDNS} is not found, and it says so", not messages(f"{name}/cold_water/reading"))
    sock = "/run/avahi-daemon/socket"
    agent = image.run(log, volumes=[f"{conf}:/etc/mbushat.toml:ro", f"{sock}:{sock}"])
    reads(name, log)
    ends(name, agent, log)


def addon_image(archive, broker, bus):
    image = Image(archive)
    name = f"addon-{image.architecture}"
    check(f"{name}: the Supervisor finds its labels", {"io.hass.version", "io.hass.type", "io.hass.arch"} <= set(image.config["Labels"]), image.config)
    supervisor = Supervisor(service("127.0.0.1", broker, USER, PASSWORD))
    data = os.path.dirname(path(f"{name}/options.json", json.dumps(
        {"meters": [{"name": "cold_water", "address": 48, "baud": "2400", "interval": "1h"}], "gateway": f"tcp://127.0.0.1:{bus}", "base_topic": name})))
    log = f"{name}.log"
    agent = image.run(log, volumes=[f"{data}:/data"], env=[f"SUPERVISOR={supervisor.url}", f"SUPERVISOR_TOKEN={TOKEN}", "TZ=Europe/Zurich"])
    reads(name, log)
    check(f"{name}: the rendered file is for root only", os.stat(f"{data}/mbushat.toml").st_mode & 0o777 == 0o600)
    subprocess.run(["mosquitto_pub", "-p", str(broker), "-u", USER, "-P", PASSWORD, "-t", f"{name}/bridge/request/scan",
                    "-m", '{"bus":"gateway","secondary":"3013????"}'], check=True)
    wait(f"{name}: the scan", 120, lambda: messages(f"{name}/bridge/response/scan"), lambda: log_of(log))
    found = json.loads(messages(f"{name}/bridge/response/scan")[0])
    check(f"{name}: a scan by MQTT finds the meter", found["status"] == "ok" and "30137315" in json.dumps(found["data"]), found)
    ends(name, agent, log)


def armv6(archive, broker, bus):
    with tarfile.open(archive) as tar:
        tar.extractall(path("armv6"), filter="data")
    folder = os.path.join(path("armv6"), os.listdir(path("armv6"))[0])
    zero = ["qemu-arm-static", "-cpu", "arm1176", f"{folder}/mbushat"]  # the processor of Pi 1, Zero and Zero W
    told = subprocess.run([*zero, "decode", "--format", "jsonl", TELEGRAM], capture_output=True, text=True).stdout
    check("armv6: it decodes a telegram", '"value":0.05,"unit":"m³"' in told, told)
    for name, host in (("armv6-hosts", HOSTS_NAME), ("armv6-dns", DNS_NAME)):
        conf = path(f"{name}.toml", config(name, f"mqtt://{host}:{broker}", bus, path(f"{name}.store")))
        done = subprocess.run([*zero, "check", conf], capture_output=True, text=True)
        check(f"{name}: it checks a configuration", done.returncode == 0 and host in done.stdout, done)
        agent = start(f"{name}.log", *zero, "--config", conf, "run")
        reads(name, f"{name}.log")
        ends(name, agent, f"{name}.log")


def main():
    broker, bus = free_port(), free_port()
    network()
    peers(os.path.abspath(sys.argv[1]), broker, bus)
    avahi()
    for archive in sys.argv[2:]:
        print(f"--- {os.path.basename(archive)}", flush=True)
        kind = addon_image if "-addon-image-" in archive else container_image if "-image-" in archive else armv6
        kind(os.path.abspath(archive), broker, bus)
    print("PASS")


if len(sys.argv) < 3:
    sys.exit(__doc__)
if "MBUSHAT_UNSHARED" not in os.environ:
    os.execvp("unshare", ["unshare", "--net", "--mount", "env", "MBUSHAT_UNSHARED=1", sys.executable, *sys.argv])
try:
    main()
finally:
    for p in started:
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGKILL)
    for c in containers:
        subprocess.run([*BUILDAH, "rm", c], stdout=subprocess.DEVNULL)
