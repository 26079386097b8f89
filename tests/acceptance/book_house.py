"""Where the commands of the book are run, for book.py: a broker, an agent that reads simulated meters, a device tree with
the Hat, and programs that find all of these."""
import json
import os
import re
import shutil
import subprocess

import broker_lab as lab
from loopback import mosquitto, telegram
from mqtt_client import Client


class House:
    """A broker, an agent with simulated meters, and programs that find them where the book's commands look."""

    def __init__(self, program, fail):
        self.fail = fail
        self.port, self.page = lab.free_port(), lab.free_port()
        mosquitto(self.port)
        self.config = self.configure()
        self.programs(program)
        self.client = Client(self.port, ["mbushat/#"])
        lab.until("subscribed", 10, lambda: self.client.up_since)
        self.agent = lab.start("agent", [program, "run", "--config", self.config], env=os.environ | {"NO_COLOR": "1"})
        lab.until("two meters are adopted", 120, lambda: {"kam_67200512", "sen_21880341"} <= {m[1].split("/")[1] for m in self.client.of("/state")})

    def configure(self):
        heat = telegram(5, "67200512", "KAM", 4, "0C0600000500" + "0C1455000000").hex()
        water = telegram(7, "21880341", "SEN", 7, "0C1355000000").hex()
        bus = lab.write("sim.toml", f'[[meter]]\nmodel = "ats_ec20"\naddress = 48\n[[meter]]\nmodel = "eastron_sdm220"\naddress = 1\n[[meter]]\ntelegrams = ["{heat}"]\naddress = 5\n'
                        f'[[meter]]\ntelegrams = ["{water}"]\naddress = 7\n')
        config = lab.write("house/mbushat.toml", f'[mqtt]\nurl = "mqtt://127.0.0.1:{self.port}"\n[http]\nlisten = "127.0.0.1:{self.page}"\n'
                           f'[store]\ndirectory = "{lab.lab}/store"\n[[bus]]\nname = "hat"\nport = "sim:{bus}"\ndiscover = true\nresponse_timeout = "60ms"\n'
                           'retries = 0\n[[meter]]\nname = "cold_water"\naddress = 48\ninterval = "10s"\n')
        os.chmod(config, 0o640)
        return config

    def programs(self, program):
        at = f"-h 127.0.0.1 -p {self.port}"
        for name, text in {"product": "M-Bus Master", "product_ver": "0x0005", "product_id": "0x0001", "vendor": "packom.net"}.items():
            lab.write(f"device-tree/hat/{name}", text + "\0")
        for name, line in {"sudo": 'exec "$@"', "mbushat": f'exec {program} --config {self.config} "$@"',
                           # one message, unless the command says how long it waits: that ends with 27
                           "mosquitto_sub": f'case " $* " in *" -W "*) {shutil.which("mosquitto_sub")} {at} "$@" || [ $? = 27 ] ;;\n'
                                            f'*) exec {shutil.which("mosquitto_sub")} {at} -W 30 "$@" -C 1 ;; esac',
                           "mosquitto_pub": f'exec {shutil.which("mosquitto_pub")} {at} "$@"'}.items():
            os.chmod(lab.write(f"bin/{name}", f"#!/bin/sh\n{line}\n"), 0o755)

    def run(self, script):
        script = script.replace("localhost:6287", f"localhost:{self.page}").replace("/tmp/", f"{lab.lab}/tmp/")
        os.makedirs(f"{lab.lab}/tmp", exist_ok=True)
        env = os.environ | {"PATH": f"{lab.lab}/bin:{os.environ['PATH']}", "NO_COLOR": "1", "MBUSHAT_DEVICE_TREE": f"{lab.lab}/device-tree"}
        return subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                              cwd=f"{lab.lab}/tmp", env=env, timeout=300, check=False)

    def sh(self, block):
        before = len(self.client.of("", 0))
        done = self.run(f"set -e -o pipefail\n{block.text}")
        if done.returncode:
            self.fail(block.where, f"exit code {done.returncode}\n{done.stdout[-3000:]}")
        asked = re.findall(r"bridge/request/(\w+)", block.text)
        answers = lambda: [m for m in list(self.client.messages)[before:] if re.search(r"/response/(\w+)$", m[1]) and m[1].rsplit("/", 1)[1] in asked]
        lab.until(f"{block.where}: {asked} are answered", 120, lambda: len(answers()) >= len(asked))
        for _, topic, _, payload in answers():
            if json.loads(payload)["status"] != "ok":
                self.fail(block.where, f"{topic}: {payload.decode()}")

    def console(self, block):
        mark = "~~~ the next command"
        parts = re.split(r"(?m)^\$ (.*)\n", block.text)[1:]
        commands, outputs = parts[::2], parts[1::2]
        keep = f"mark() {{ local code=$?; echo '{mark}'; return $code; }}\n"
        done = self.run(keep + "".join(f"mark\n{command}\n" for command in commands))
        for command, expected, got in zip(commands, outputs, done.stdout.split(f"{mark}\n")[1:]):
            pattern = "".join("(.*\n)*" if line == "…\n" else ".*".join(map(re.escape, line.split("…"))) for line in expected.splitlines(True))
            if not re.fullmatch(pattern, got):
                self.fail(block.where, f"$ {command}\nprints\n{got}in place of\n{expected}")
