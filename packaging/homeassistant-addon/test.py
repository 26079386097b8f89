#!/usr/bin/env python3
"""test.py [MBUSHAT]: the add-on's files are what the Supervisor takes, and its run.sh renders the
options as promised, beside a Supervisor of our own; with a mbushat, that one must find each rendered
file valid. Needs jq, wget and PyYAML. Exits 1 at the first thing that is not as promised."""
import json
import os
import re
import stat
import struct
import subprocess
import sys
import tempfile
import tomllib

import yaml
from supervisor import TOKEN, Supervisor, service

ADDON = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mbushat")
MBUSHAT = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else None
PASSWORD = 'quote " backslash \\ ü'
CORE = service("core-mosquitto", 1883, "addons", PASSWORD)
# what the Supervisor takes as the type of an option
TYPE = re.compile(r"^(bool|email|url|port|device(\(subsystem=[a-z]+\))?|(str|password|int|float)(\(-?[\d.]*,-?[\d.]*\))?|match\(.*\)|list\(.+\))\??$")
supervisor = Supervisor(CORE)


def check(what, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {what}", flush=True)
    if not ok:
        sys.exit(str(detail) or 1)


def read(*name):
    with open(os.path.join(ADDON, *name), encoding="utf-8") as f:
        return yaml.safe_load(f)


def types(schema):
    """Every type in a schema, however deep."""
    if isinstance(schema, str):
        return [schema]
    return [t for part in (schema.values() if isinstance(schema, dict) else schema) for t in types(part)]


def size(name):
    with open(os.path.join(ADDON, name), "rb") as f:
        head = f.read(24)
    check(f"{name} is a PNG", head.startswith(b"\x89PNG\r\n\x1a\n"))
    return struct.unpack(">II", head[16:24])


def files():
    config = read("config.yaml")
    wrong = [t for t in types(config["schema"]) if not TYPE.match(t)]
    check("the Supervisor knows the type of every option", not wrong, wrong)
    needed = [key for key, t in config["schema"].items() if isinstance(t, str) and not t.endswith("?")]
    check("no option must be set before the first start", not needed and config["options"] == {"meters": []}, needed)
    check("icon and logo are of the size that is shown", size("icon.png") == (128, 128) and size("logo.png") == (250, 100))
    with open(os.path.join(ADDON, "DOCS.md"), encoding="utf-8") as f:
        docs = f.read()
    meter = config["schema"]["meters"][0]
    untold = [key for key in [*config["schema"], *meter] if f"`{key}`" not in docs]
    check("DOCS.md names every option", not untold, untold)
    for language in ("en", "de"):
        told = read("translations", f"{language}.yaml")["configuration"]
        check(f"{language}: every option has a name, and no other", set(told) == set(config["schema"]), set(told) ^ set(config["schema"]))
        fields = told["meters"]["fields"]
        check(f"{language}: every option of a meter too", set(fields) == set(meter), set(fields) ^ set(meter))
        check(f"{language}: with a name and a description", all(set(t) >= {"name", "description"} for t in [*told.values(), *fields.values()]))
    return config["schema"]


def fits(t, value):
    """Whether the Supervisor takes a value as of this type."""
    t = t.removesuffix("?")
    if t.startswith("int("):
        least, most = map(int, t[4:-1].split(","))
        return least <= value <= most
    if t.startswith("list("):
        return value in t[5:-1].split("|")
    return re.match(t.removeprefix("match(")[:-1], value) is not None


def takes(schema):
    meter = schema["meters"][0]
    for key, t, good, bad in [
        ("address", meter.get("address"), [0, 250, 254], [255]),
        ("labels", meter.get("labels", [""])[0], ["flat=3 left", "_a1="], ["Flat=3", "3=a", "flat"]),
        ("gateway", schema["gateway"], ["tcp://192.0.2.7:10001", "rfc2217://ser2net.local:2217"], ["udp://a:1", "tcp://a"]),
        ("log_level", schema["log_level"], ["info", "wire"], ["loud"]),
    ]:
        wrong = [v for v in good if not fits(t, v)] + [v for v in bad if fits(t, v)]
        check(f"{key} takes what mbushat takes", not wrong, wrong)


def run(folder, options, own=None, hat=True):
    """What run.sh did: (finished process, rendered file or None)."""
    config, bin_, tree, rendered = (os.path.join(folder, n) for n in ("config", "bin", "device-tree", "mbushat.toml"))
    for d in (config, bin_, *([tree] if hat else [])):
        os.makedirs(d, exist_ok=True)
    with open(os.path.join(folder, "options.json"), "w", encoding="utf-8") as f:
        json.dump(options, f)
    if own is not None:
        with open(os.path.join(config, "mbushat.toml"), "w", encoding="utf-8") as f:
            f.write(own)
    # stands for the agent: says how it was called
    with open(os.path.join(bin_, "mbushat"), "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\necho "$@" "${MBUSHAT_DEVICE_TREE-none}"\n')
    os.chmod(f.name, 0o755)
    env = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "DATA": folder, "CONFIG": config, "DEVICE_TREE": tree, "no_proxy": "*",
           "SUPERVISOR": supervisor.url, "SUPERVISOR_TOKEN": TOKEN}
    done = subprocess.run([os.path.join(ADDON, "run.sh")], env=env, capture_output=True, text=True, timeout=30)
    return done, rendered if os.path.exists(rendered) else None


def renders(what, options, expected, hat=True):
    with tempfile.TemporaryDirectory(prefix="mbushat-addon-") as folder:
        done, rendered = run(folder, options, hat=hat)
        tree = f"{folder}/device-tree" if hat else "none"
        check(f"{what}: the agent is started with the rendered file", done.returncode == 0 and done.stdout == f"--config {rendered} run {tree}\n", done.stderr)
        check(f"{what}: nobody else may read it", stat.S_IMODE(os.stat(rendered).st_mode) == 0o600)
        with open(rendered, "rb") as f:
            text = f.read().decode()
        got, expected = tomllib.loads(text), {"store": {"directory": "/data"}, "http": HTTP, "log": {}, "bus": [{"name": "hat"}], **expected}
        check(f"{what}: it says what the options say", got == expected, f"{got}\n{expected}")
        if MBUSHAT:
            done = subprocess.run([MBUSHAT, "check", rendered], capture_output=True, text=True, timeout=30)
            check(f"{what}: mbushat check finds it valid", done.returncode == 0, f"{done.stderr}\n{text}")


def starts_again():
    """The agent stands for one that is asked to restart once, then stopped: it must hear of the stop."""
    with tempfile.TemporaryDirectory(prefix="mbushat-addon-") as folder:
        os.makedirs(os.path.join(folder, "bin"))
        with open(os.path.join(folder, "bin", "mbushat"), "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\ntrap 'echo stopped; exit 3' TERM\necho started\n[ -e {folder}/again ] || {{ touch {folder}/again; exit 75; }}\n"
                    "while :; do sleep 0.1; done\n")
        os.chmod(f.name, 0o755)
        with open(os.path.join(folder, "mbushat.toml"), "w", encoding="utf-8"):
            pass
        env = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "CONFIG": folder}
        process = subprocess.Popen([os.path.join(ADDON, "run.sh")], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        said = [process.stdout.readline().strip() for _ in range(2)]
        process.terminate()
        rest, _ = process.communicate(timeout=10)
        check("an agent that was asked to restart is started again", said == ["started"] * 2, said)
        check("and stopped with the add-on, with its own exit code", (rest, process.returncode) == ("stopped\n", 3), (rest, process.returncode))


def refuses(what, options, said, hat=True):
    with tempfile.TemporaryDirectory(prefix="mbushat-addon-") as folder:
        done, rendered = run(folder, options, hat=hat)
        check(f"{what}: exit 1, and what to do", done.returncode == 1 and rendered is None and said in done.stderr, done.stderr)


HTTP = {"listen": "0.0.0.0:6287", "trusted": ["172.30.32.2"]}
WATER = {"name": "cold_water", "address": 48}
# every option there is, as the Supervisor hands it over
METER = {"name": "heat", "title": 'Heat "ground\nfloor"', "secondary": "30137315ATS0104", "bus": "hat", "interval": "1h", "offset": "-30s",
         "baud": "300", "parity": "none", "timeout": "2s", "profile": "eastron_sdm220", "key": "000102030405060708090A0B0C0D0E0F",
         "requests": ["B1"], "application_select": 3, "reset": True, "expose": ["energy", "volume"], "offline_after": 4, "enabled": True,
         "labels": ["flat=3 left", 'tenant=A = "B" \\ ü', "empty="]}
LABELS = {"flat": "3 left", "tenant": 'A = "B" \\ ü', "empty": ""}
BUS = {"port": "/dev/ttyAMA0", "baud": "9600", "parity": "odd", "hat": True, "power_gpio": 20, "response_timeout": "800ms", "retries": 4}
BROKER = {"mqtt_url": "mqtts://broker.example", "mqtt_username": "me", "mqtt_password": PASSWORD, "mqtt_ca_file": "/ssl/my-ca.pem"}
MQTT = {"base_topic": "mbushat/house7", "value_topics": True}
EXTRA = '[[bus]]\nname = "far"\nport = "tcp://192.0.2.7:10001"\n[[meter]]\nname = "gas"\nbus = "far"\naddress = 5'


def rendering(schema):
    mqtt = {"url": "mqtt://core-mosquitto:1883", "username": "addons", "password": PASSWORD}
    number = lambda table: {**table, "baud": int(table["baud"])}  # noqa: E731
    renders("the defaults", {"meters": []}, {"mqtt": mqtt})
    renders("a meter", {"meters": [WATER], "mqtt_url": "", "port": ""}, {"mqtt": mqtt, "meter": [WATER]})

    every = {"meters": [METER], **BUS, **BROKER, **MQTT, "log_level": "debug", "extra_toml": EXTRA}
    missing = (set(schema) - set(every) - {"gateway"}) | (set(schema["meters"][0]) - set(METER) - {"address"})
    check("every option: none is left out of this test", not missing, missing)
    renders("every option", every, {
        "mqtt": {key.removeprefix("mqtt_"): value for key, value in BROKER.items()} | MQTT,
        "log": {"level": "debug"},
        "bus": [{"name": "hat", **number(BUS)}, {"name": "far", "port": "tcp://192.0.2.7:10001"}],
        "meter": [{**number(METER), "labels": LABELS}, {"name": "gas", "bus": "far", "address": 5}]})

    renders("a gateway", {"gateway": "tcp://192.0.2.7:10001", "baud": "9600", "meters": [WATER]},
            {"mqtt": mqtt, "bus": [{"name": "gateway", "port": "tcp://192.0.2.7:10001", "baud": 9600}], "meter": [WATER]}, hat=False)
    renders("a gateway that is told rate and parity", {"gateway": "rfc2217://192.0.2.7:2217", "meters": [{"name": "only", "address": 254}], "log_level": "wire"},
            {"mqtt": mqtt, "bus": [{"name": "gateway", "port": "rfc2217://192.0.2.7:2217"}], "meter": [{"name": "only", "address": 254}], "log": {"level": "wire"}}, hat=False)
    renders("a USB adapter", {"port": "/dev/ttyUSB0", "meters": [{**WATER, "requests": [], "title": ""}]},
            {"mqtt": mqtt, "bus": [{"name": "bus", "port": "/dev/ttyUSB0"}], "meter": [WATER]}, hat=False)
    refuses("neither adapter nor gateway without the Hat", {"meters": [WATER]}, "Set the option port", hat=False)

    supervisor.mqtt = service("core-mosquitto", 8883, "addons", PASSWORD, ssl=True)
    renders("Home Assistant's broker with TLS", {"meters": []}, {"mqtt": {**mqtt, "url": "mqtts://core-mosquitto:8883"}})
    supervisor.mqtt = None
    renders("no broker in Home Assistant but one's own", {"meters": [], "mqtt_url": "mqtt://broker.example"}, {"mqtt": {"url": "mqtt://broker.example"}})
    refuses("no broker at all", {"meters": []}, "set the option mqtt_url")
    with tempfile.TemporaryDirectory(prefix="mbushat-addon-") as folder:
        done, rendered = run(folder, {"meters": []}, own="[mqtt]\n")
        check("a file of one's own wins", rendered is None and done.stdout.startswith(f"--config {folder}/config/mbushat.toml run "), done.stdout + done.stderr)


schema = files()
takes(schema)
rendering(schema)
starts_again()
print("PASS")
