#!/usr/bin/env python3
"""access.py MBUSHAT: the access rules of config/acl in a real mosquitto and RabbitMQ (needs root, see broker_lab.py).

Two agents have a user each, and the user homeassistant reads all meters and asks the agents. Whole work is what the
rules must allow: readings, states, announcements, an answered request, a reading on demand, and a `doctor` that finds
no failure with the broker. Then user house2 tries everything on house1's topics: it must hear nothing, and none of it
may arrive. Mosquitto is tried twice, with the lines that its later versions need too. Exits 1 otherwise."""
import json
import os
import subprocess
import sys
import time

import broker_lab as lab
from mqtt_client import Client

ACL = os.path.join(lab.HERE, "../../config/acl")
USERS = ("house1", "house2", "homeassistant")
PASSWORD = "secret"
LATER = "user {0}\ntopic readwrite homeassistant/device/mbushat_{0}/#\ntopic write homeassistant/sensor/mbushat_{0}/doctor/config\n"
FORBIDDEN = ["mbushat/house1/bridge/state", "mbushat/house1/m1/state", "mbushat/house1/m1/reading", "mbushat/house1/m1/read",
             "mbushat/house1/bridge/request/read", "homeassistant/device/mbushat_house1/x/config", "homeassistant/status",
             "homeassistant/sensor/mbushat_house1/doctor/config", "homeassistant/device/x/config", "mbushat/x"]
FILTERS = ["#", "mbushat/#", "+/+/bridge/state", "mbushat/house1/#", "homeassistant/device/mbushat_house1/#", "homeassistant/#"]


def check(what, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else detail}", flush=True)
    if not ok:
        lab.failures.append(what)


class Mosquitto(lab.Mosquitto):
    more = f"allow_anonymous false\npassword_file {lab.LAB}/passwd\nacl_file {lab.LAB}/acl\n"
    login = ("homeassistant", PASSWORD)

    def allow(self, later):
        with open(os.path.join(ACL, "mosquitto.acl"), encoding="utf-8") as file:
            rules = file.read()
        if later:
            rules = "".join(line for line in rules.splitlines(True) if "mbushat_%u" not in line) + "".join(map(LATER.format, USERS[:2]))
        lab.write("acl", rules)
        lab.write("passwd", "")
        for user in USERS:
            subprocess.run(lab.in_root("mosquitto_passwd", "-b", f"{lab.LAB}/passwd", user, PASSWORD), check=True,
                           stderr=subprocess.DEVNULL)
        self.start()


class RabbitMQ(lab.RabbitMQ):
    def allow(self, _):
        self.start()
        with open(os.path.join(ACL, "rabbitmq.sh"), encoding="utf-8") as file:
            self.write("rabbitmq.sh", file.read())
        for user in USERS:
            self.control("add_user", user, PASSWORD)
            reader = ["--reader"] if user == "homeassistant" else []
            subprocess.run(lab.in_root(*self.environment(), "RABBITMQCTL=/usr/lib/rabbitmq/bin/rabbitmqctl", "sh",
                                       self.inside("rabbitmq.sh"), *reader, user), check=True)


def agent(program, broker, user):
    made = lab.Agent(program, f"{broker.folder}-{user}", [f"mqtt://127.0.0.1:{broker.port}"], base=f"mbushat/{user}",
                     login=(user, PASSWORD), protocol=broker.protocol, client_id=False)
    made.start()
    return made


def doctor(program, made):
    ran = subprocess.run([program, "doctor", "--json", "--config", made.config], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, check=False, timeout=120)
    return ran.stdout


def asks(client, topic, payload, answer):
    """Whether an answer comes on that topic after this."""
    since = time.time()
    client.publish(topic, payload)
    end = time.time() + 20
    while time.time() < end and not client.of(answer, since):
        time.sleep(0.1)
    return bool(client.of(answer, since))


def works(name, program, agents, homeassistant):
    came = lambda end: [message for message in homeassistant.of(end) if "house1" in message[1]]
    wanted = ["/m1/reading", "/m2/reading", "/m1/state", "/m1/availability", "/bridge/state", "/bridge/info", "/config"]
    end = time.time() + 30
    while time.time() < end and not all(map(came, wanted)):
        time.sleep(0.2)
    missing = [topic for topic in wanted if not came(topic)]
    check(f"{name}: readings, states and announcements come", not missing, str(missing))
    check(f"{name}: both meters and the agent are announced", len({m[1] for m in came("/config")}) == 3)
    check(f"{name}: a request is answered", asks(homeassistant, "mbushat/house1/bridge/request/read", '{"meter":"m1"}',
                                                  "house1/bridge/response/read"))
    log = agents[0].log()
    check(f"{name}: the agent complains of nothing", "WARN" not in log and "ERROR" not in log, log)
    since = time.time()
    homeassistant.publish("homeassistant/status", "online")
    time.sleep(6)
    again = {m[1] for m in homeassistant.of("/config", since) if "house1" in m[1]}
    check(f"{name}: all is announced again when Home Assistant starts", len(again) == 3, str(again))
    found = doctor(program, agents[0])
    broker = [one for one in json.loads(found)["findings"] if one["check"].startswith("broker") or one["check"] == "Home Assistant"]
    bad = [one for one in broker if one["verdict"] not in ("ok", "skipped")]
    check(f"{name}: doctor finds {len(broker)} things right with the broker", len(broker) >= 4 and not bad, found)


def stranger(name, broker, homeassistant):
    heard = []
    for topics in FILTERS:
        client = Client(broker.port, [topics], "house2", PASSWORD, clean=True, client_id=f"mbushat-house2-{os.urandom(3).hex()}")
        time.sleep(3)
        client.stop()
        heard += [f"{topics}: {m[1]}" for m in client.messages if "house2" not in m[1] and m[1] != "homeassistant/status"]
    check(f"{name}: house2 hears nothing of house1", not heard, str(heard[:5]))
    since = time.time()
    client = Client(broker.port, [], "house2", PASSWORD, clean=True, client_id="mbushat-house2-x")
    for topic in FORBIDDEN:
        for retain in (False, True):
            lab.until("house2 is connected", 20, lambda: client.up_since)
            try:
                client.publish(topic, "intruder", retain)
            except OSError:
                pass
            time.sleep(0.6)
    lab.until("house2 is connected", 20, lambda: client.up_since)
    client.publish("mbushat/house2/own", "own")
    time.sleep(3)
    client.stop()
    new = [m for m in list(homeassistant.messages) if m[0] >= since]
    check(f"{name}: what house2 publishes on its own topics arrives", any(m[3] == b"own" for m in new))
    check(f"{name}: and nothing on others", not any(m[3] == b"intruder" for m in new), str([m[1] for m in new if m[3] == b"intruder"]))


def trial(name, broker, program, later=False):
    broker.allow(later)
    homeassistant = Client(broker.port, ["mbushat/#", "homeassistant/#"], "homeassistant", PASSWORD, client_id="homeassistant")
    lab.until("homeassistant is connected", 30, lambda: homeassistant.up_since)
    homeassistant.publish("homeassistant/status", "online", True)
    agents = [agent(program, broker, user) for user in USERS[:2]]
    works(name, program, agents, homeassistant)
    stranger(name, broker, homeassistant)
    for one in agents:
        one.stop()
    homeassistant.stop()
    broker.close()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lab.make_root()
    program = os.path.abspath(sys.argv[1])
    trial("mosquitto", Mosquitto(), program)
    trial("mosquitto, lines for 2.1", Mosquitto(), program, later=True)
    trial("RabbitMQ, MQTT 5", RabbitMQ(), program)
    trial("RabbitMQ, MQTT 3.1.1", RabbitMQ("3"), program)
    return lab.verdict()


lab.run(main)
