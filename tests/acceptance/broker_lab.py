"""Brokers of a Debian 13 root, and agents with simulated meters, for brokers.py, clusters.py, access.py, many.py
and backlog.py.

The root is made with debootstrap below $MBUSHAT_CACHE (default ~/.cache/mbushat-packaging) by packaging/debian-root.sh,
once; needs root. Brokers listen on free ports of the loopback address. `stop_all` ends every process that was
started here. Standard library only."""
import datetime
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from mqtt_client import packet, text

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT_SCRIPT = os.path.join(HERE, "../../packaging/debian-root.sh")
PACKAGES = "mosquitto rabbitmq-server nats-server ejabberd haproxy redis-server npm python3-venv"
SETUP = f"""set -e
[ ! -e /opt/.made ] || exit 0
apt-get update -qq
apt-get install -y -qq --no-install-recommends {PACKAGES}
mkdir -p /opt/aedes && cd /opt/aedes && npm install aedes@1 aedes-persistence-redis mqemitter-redis
python3 -m venv /opt/amqtt && /opt/amqtt/bin/pip install amqtt
touch /opt/.made"""
AEDES = """const load = require('module').createRequire('/opt/aedes/');
const [port, redis] = process.argv.slice(2).map(Number), persistence = load('aedes-persistence-redis')({port: redis});
load('aedes').Aedes.createBroker({persistence}).then(broker =>
  require('net').createServer(broker.handle).listen(port, '127.0.0.1'));
"""
LAB = "/lab"  # the folder of the lab, as the root sees it
started = []
lab = tempfile.mkdtemp(prefix="mbushat-brokers-")
os.chmod(lab, 0o777)


def in_root(*command, folder=lab):
    """The command line that runs there, in place of the shell that enters the root."""
    script = f'. "{ROOT_SCRIPT}"; EXEC=exec; in_root "$CACHE/brokers-trixie" "$0:{LAB}" /etc/ssl/certs:/etc/ssl/certs -- "$@"'
    return ["bash", "-c", script, folder, *command]


def make_root():
    made = subprocess.run(["bash", "-c", f'set -e; . "{ROOT_SCRIPT}"; need; make_root trixie "$CACHE/brokers-trixie"'], check=False)
    if made.returncode or subprocess.run(in_root("sh", "-c", SETUP), stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit("the Debian root cannot be made")


def write(name, content):
    path = os.path.join(lab, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    return path


def log_of(name):
    path = os.path.join(lab, f"{name}.log")
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def start(name, command, **how):
    """A process with a group of its own; what it prints is in NAME.log."""
    with open(os.path.join(lab, f"{name}.log"), "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **how)
    started.append(process)
    return process


def stop(process, how=signal.SIGTERM, seconds=20):
    """Ends a process and all of its group."""
    for number in (how, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
    process.wait()


def kill(process):
    stop(process, signal.SIGKILL)


def stop_all():
    for process in reversed(started):
        if process.poll() is None:
            stop(process, seconds=5)
        else:
            kill(process)  # what it may have left behind in its group
    if not os.environ.get("KEEP"):
        shutil.rmtree(lab, ignore_errors=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, seconds, found):
    """The first true value of `found`, and the seconds until then."""
    begin = time.monotonic()
    while not (value := found()):
        if time.monotonic() - begin > seconds:
            raise SystemExit(f"FAIL: not within {seconds} s: {what}")
        time.sleep(0.05)
    return value, time.monotonic() - begin


def answers(port, user=None, password=None, publish=False):
    """Whether a broker lets somebody in there, and where asked acknowledges a message."""
    login = b"".join(text(word) for word in (user, password)) if user else b""
    connect = packet(0x10, text("MQTT") + bytes([4, 0xC2 if user else 2, 0, 20]) + text(f"probe{os.urandom(4).hex()}") + login)
    try:
        with socket.create_connection(("127.0.0.1", port), 3) as s:
            s.sendall(connect)
            answer = s.recv(4)
            let_in = len(answer) == 4 and answer[0] == 0x20 and answer[3] == 0
            if let_in and publish:
                s.sendall(packet(0x32, text("probe") + b"\0\1-"))
                let_in = s.recv(4) == b"\x40\2\0\1"
            s.sendall(b"\xe0\0")
            return let_in
    except OSError:
        return False


class Broker:
    """One node. `login`: what its clients need; `protocol`: what the agent asks of it; `speaks`: what it must get."""
    name = protocol = ""
    login = (None, None)
    forgets = False  # sessions, when it is killed

    def __init__(self, protocol="auto"):
        self.protocol, self.port, self.process, self.folder = protocol, free_port(), None, f"{self.name}-{os.urandom(3).hex()}"
        os.makedirs(os.path.join(lab, self.folder))
        os.chmod(os.path.join(lab, self.folder), 0o777)
        self.prepare()

    def prepare(self):
        pass

    def write(self, name, content):
        write(f"{self.folder}/{name}", content)

    def inside(self, name=""):
        return f"{LAB}/{self.folder}/{name}"

    def start(self, seconds=120):
        self.process = start(self.folder, in_root(*self.command()))
        if seconds:
            self.wait(seconds)

    def wait(self, seconds=120):
        until(f"{self.name} listens\n{log_of(self.folder)[-1500:]}", seconds, lambda: answers(self.port, *self.login))

    def kill(self):
        kill(self.process)

    def close(self):
        kill(self.process)


class Mosquitto(Broker):
    name, speaks = "mosquitto", 5
    more = "allow_anonymous true\n"

    def prepare(self):
        self.write("mosquitto.conf", f"listener {self.port} 127.0.0.1\nuser root\npersistence true\n"
                   f"persistence_location {self.inside()}\nautosave_interval 1\nautosave_on_changes true\n"
                   f"max_queued_messages 0\n{self.more}")

    def command(self):
        return ["mosquitto", "-c", self.inside("mosquitto.conf")]


class RabbitMQ(Broker):
    """One node, or with `names` one of a cluster."""
    name, speaks = "rabbitmq", 5
    queues = "classic"

    def __init__(self, protocol="auto", epmd=None):
        self.epmd, self.dist, self.own_epmd = epmd or free_port(), free_port(), epmd is None
        super().__init__(protocol)
        self.node = f"{self.folder}@localhost"

    def prepare(self):
        self.write("plugins", "[rabbitmq_mqtt].\n")
        self.write(".erlang.cookie", "mbushatlab")
        os.chmod(os.path.join(lab, self.folder, ".erlang.cookie"), 0o400)
        self.configure([])

    def configure(self, nodes):
        cluster = "".join(f"cluster_formation.classic_config.nodes.{place} = {node.node}\n" for place, node in enumerate(nodes, 1))
        if nodes:
            cluster += "cluster_formation.peer_discovery_backend = classic_config\n"
        self.write("rabbitmq.conf", f"listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
                   f"anonymous_login_user = guest\nanonymous_login_pass = guest\nlog.console.level = warning\nlog.file = false\n"
                   f"log.console = true\nvm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n"
                   f"mqtt.durable_queue_type = {self.queues}\n{cluster}")

    def environment(self):
        return ["env", f"HOME={self.inside()}", f"ERL_EPMD_PORT={self.epmd}", f"RABBITMQ_NODENAME={self.folder}@localhost",
                f"RABBITMQ_DIST_PORT={self.dist}", f"RABBITMQ_CONFIG_FILE={self.inside('rabbitmq.conf')}",
                f"RABBITMQ_MNESIA_BASE={self.inside('data')}", f"RABBITMQ_LOG_BASE={self.inside('log')}",
                f"RABBITMQ_ENABLED_PLUGINS_FILE={self.inside('plugins')}", f"RABBITMQ_PID_FILE={self.inside('pid')}",
                "RUNNING_UNDER_SYSTEMD=1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"]

    def command(self):
        if self.own_epmd:
            self.own_epmd = False
            start_epmd(self.epmd)
        return [*self.environment(), "/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def control(self, *words, check=True):
        ran = subprocess.run(in_root(*self.environment(), "/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *words),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if check and ran.returncode:
            raise SystemExit(f"FAIL: rabbitmqctl {' '.join(words)}: {ran.stdout}")
        return ran.stdout


def start_epmd(port):
    start("epmd", in_root("epmd", "-port", str(port), "-address", "127.0.0.1"))
    time.sleep(0.3)


class Nats(Broker):
    name, speaks = "nats", 3

    def prepare(self):
        self.configure("")

    def configure(self, cluster):
        self.write("nats.conf", f'server_name: {self.folder}\nlisten: "127.0.0.1:{free_port()}"\n'
                   f'jetstream {{ store_dir: "{self.inside("data")}", sync_interval: always }}\n'
                   f'mqtt {{ listen: "127.0.0.1:{self.port}" }}\n{cluster}')

    def command(self):
        return ["nats-server", "-c", self.inside("nats.conf")]


class Ejabberd(Broker):
    name, speaks, forgets = "ejabberd", 5, True
    login = ("lab@localhost", "secret")

    def prepare(self):
        self.epmd = free_port()
        self.write("ejabberd.yml", "hosts: [localhost]\nloglevel: warning\nlisten:\n"
                   f"  - {{port: {self.port}, ip: '127.0.0.1', module: mod_mqtt, backlog: 100}}\n"
                   "modules:\n  mod_mqtt: {}\n")
        self.write("ejabberdctl.cfg", f"ERL_EPMD_PORT={self.epmd}\nERL_DIST_PORT={free_port()}\nERLANG_NODE={self.folder}@localhost\n"
                   "SMP=disable\n")
        self.write("inetrc", "{lookup,[\"file\",\"native\"]}.\n")
        for path, _, files in os.walk(os.path.join(lab, self.folder)):
            for name in files:
                os.chmod(os.path.join(path, name), 0o644)
        self.registered = False

    def tool(self, *words):
        folder = self.inside().rstrip("/")
        return ["ejabberdctl", "--config-dir", folder, "--ctl-config", f"{folder}/ejabberdctl.cfg", "--config",
                f"{folder}/ejabberd.yml", "--logs", folder, "--spool", f"{folder}/data", "--node", f"{self.folder}@localhost", *words]

    def command(self):
        return self.tool("foreground")

    def start(self, seconds=120):
        if not self.registered:
            start_epmd(self.epmd)
        self.process = start(self.folder, in_root(*self.command()))
        if not self.registered:
            register = lambda: not subprocess.run(in_root(*self.tool("register", "lab", "localhost", "secret")),
                                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
            until(f"ejabberd takes an account\n{log_of(self.folder)[-1500:]}", 120, register)
            self.registered = True
        if seconds:
            self.wait(seconds)


    def kill(self):
        kill(self.process)
        # its script changes user, and with that the session
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if f"{self.folder}@localhost".encode() in file.read():
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass

    def close(self):
        self.kill()


class Aedes(Broker):
    """With its sessions in a redis, which is not killed."""
    name, speaks = "aedes", 3
    redis = None

    def prepare(self):
        self.write("aedes.js", AEDES)

    def command(self):
        if not self.redis:
            self.redis = free_port()
            start("redis", in_root("redis-server", "--port", str(self.redis), "--bind", "127.0.0.1", "--dir", self.inside()))
            time.sleep(1)
        return ["node", self.inside("aedes.js"), str(self.port), str(self.redis)]


class Amqtt(Broker):
    name, speaks, forgets = "amqtt", 3, True

    def prepare(self):
        self.write("amqtt.yaml", f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{self.port}\n"
                   "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n")

    def command(self):
        return ["/opt/amqtt/bin/amqtt", "-c", self.inside("amqtt.yaml")]


BROKERS = {"mosquitto": Mosquitto, "rabbitmq": RabbitMQ, "nats": Nats, "ejabberd": Ejabberd, "aedes": Aedes, "amqtt": Amqtt}


class Agent:
    """`mbushat run` with meters on a simulated bus. Every reading goes to disk, so that numbers have no gap."""

    def __init__(self, program, name, urls, base=None, meters=2, interval="2s", login=(None, None), protocol="auto", more="",
                 client_id=True):
        self.program, self.name, self.base, self.process = program, name, base or name, None
        bus = "".join(f'[[meter]]\nmodel = "cold_water"\naddress = {place}\nid = "{os.urandom(4).hex().translate(DIGITS)}"\n'
                      for place in range(1, meters + 1))
        self.bus = write(f"{name}/bus.toml", f"baud = 38400\n{bus}")
        user = f'username = "{login[0]}"\npassword = "{login[1]}"\n' if login[0] else ""
        own_id = f'client_id = "{name}"\n' if client_id else ""
        url = json.dumps(urls if len(urls) > 1 else urls[0])
        self.config = write(f"{name}/mbushat.toml", f'[mqtt]\nurl = {url}\nbase_topic = "{self.base}"\n{user}'
                            f'protocol = {protocol if protocol != "auto" else json.dumps(protocol)}\n{own_id}'
                            f'[store]\ndirectory = "{lab}/{name}/store"\ndurability = "always"\n{more}'
                            f'[[bus]]\nname = "wire"\nport = "sim:{self.bus}"\nbaud = 38400\n'
                            + "".join(f'[[meter]]\nname = "m{place}"\naddress = {place}\ninterval = "{interval}"\n'
                                      for place in range(1, meters + 1)))
        os.chmod(self.config, 0o640)

    def start(self):
        self.process = start(self.name, [self.program, "run", "--config", self.config],
                             env=os.environ | {"NO_COLOR": "1", "RUST_LOG": "info"})

    def kill(self):
        kill(self.process)

    def stop(self):
        stop(self.process)

    def log(self):
        return log_of(self.name)

    def speaks(self):
        words = [line.split("with MQTT ")[1] for line in self.log().splitlines() if "with MQTT " in line]
        return words[-1].split()[0] if words else None

    def numbers(self):
        """Of an agent that has ended: how many readings it took, and up to which number the broker has them."""
        with open(os.path.join(lab, self.name, "store/numbers"), encoding="utf-8") as file:
            words = file.read().split()
        return int(words[words.index("next") + 1]) - 1, int(words[words.index("cursor") + 1])


DIGITS = str.maketrans("abcdef", "012345")


def readings(client, base, since=0):
    """The numbers of the readings that came, in the order they came."""
    return [json.loads(payload)["seq"] for _, topic, _, payload in client.of("/reading", since) if topic.startswith(f"{base}/")]


def read_at(payload):
    """When a reading was read, in seconds since 1970."""
    when = datetime.datetime.fromisoformat(json.loads(payload)["read_at"].replace("Z", "+00:00"))
    return when.timestamp()


failures = []


def verdict():
    """Says whether anything is not as promised, which gives the exit code."""
    print(f"{len(failures)} not as promised" if failures else "all as promised")
    return bool(failures)


def run(main):
    """Ends the program with what `main` returns, and all that it has started."""
    try:
        code = main()
    finally:
        stop_all()
    sys.exit(code)
