#!/usr/bin/env python3
"""many.py MBUSHAT [AGENTS [BUSES]]: many agents on one broker, and many meters that share a useless id.

AGENTS (200) with four simulated meters each publish to one mosquitto. Shown: readings a second, processor time of all
agents and of the broker, memory of one agent; what the broker sends, in megabytes, because a Home Assistant starts
(it says `online`; every agent announces its devices and states again), and how much of it goes to the agents; ids that
occur twice in the announcements. That traffic has to grow with the agents, not with their square: with half of the
agents it is measured first. Then one process with BUSES (1,000) buses of four meters, all with id 00000000: its
processor time in 150 s, and meters that were not heard. Exits 1 where ids collide, an agent gets more than its own
share, a meter is not heard, or the shared id costs more than twice as much as ids of their own. Standard library only,
plus mosquitto."""
import collections
import json
import os
import shutil
import sys
import time

import broker_lab as lab
from mqtt_client import Client

INTERVAL, METERS, SHARE_MB, WATCH_S = "30s", 4, 0.05, 150


def check(what, ok):
    if not ok:
        lab.failures.append(what)
        print(f"FAIL {what}", flush=True)


def mosquitto():
    port = lab.free_port()
    path = lab.write("mosquitto.conf", f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nsys_interval 1\n"
                     "max_queued_messages 0\nmax_inflight_messages 0\n" + ("user root\n" if os.geteuid() == 0 else ""))
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or sys.exit("mosquitto is missing")
    process = lab.start("mosquitto", [program, "-c", path])
    lab.until("mosquitto listens", 20, lambda: lab.answers(port))
    return process, port


def cpu(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def proportional_memory(process):
    with open(f"/proc/{process.pid}/smaps_rollup", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


class Sent:
    """What the broker has sent so far, by its own count, in bytes."""

    def __init__(self, port):
        self.client = Client(port, ["$SYS/broker/bytes/sent", "$SYS/broker/load/bytes/sent/1min"], clean=True)

    def now(self):
        seen = [message[3] for message in list(self.client.messages) if message[1].endswith("bytes/sent")]
        return int(seen[-1]) if seen else 0


def in_a_while(sent, seconds):
    before, start = sent.now(), time.time()
    time.sleep(seconds)
    return (sent.now() - before) / 1e6, time.time() - start


def birth(sent, port, agents):
    """Megabytes that the broker sends more than usual, without a Home Assistant that listens: all goes to agents."""
    usual, took = in_a_while(sent, 15)
    client = Client(port, [], clean=True)
    lab.until("connected", 10, lambda: client.up_since)
    client.publish("homeassistant/status", "online")
    more, took_more = in_a_while(sent, 30)
    client.stop()
    to_agents = more - usual / took * took_more
    print(f"{agents:5} agents: a Home Assistant starts: the broker sends {max(to_agents, 0):.2f} MB to the agents", flush=True)
    return to_agents


def with_listener(sent, port, agents):
    """The same with a Home Assistant that subscribes to all of it; and its announcements."""
    client = Client(port, ["homeassistant/#", "mbushat/#"], clean=True)
    time.sleep(10)
    usual, took = in_a_while(sent, 15)
    client.messages.clear()
    client.publish("homeassistant/status", "online")
    more, took_more = in_a_while(sent, 30)
    announced = {topic: payload for _, topic, _, payload in client.of("/config")}
    client.stop()
    print(f"{agents:5} agents: to agents and a Home Assistant that subscribes: {more - usual / took * took_more:.1f} MB, "
          f"{len(announced)} devices", flush=True)
    ids = collections.Counter(part["uniq_id"] for payload in announced.values() for part in json.loads(payload)["cmps"].values()
                              if "uniq_id" in part)
    twice = [one for one, count in ids.items() if count > 1]
    print(f"{agents:5} agents: {len(twice)} of {len(ids)} ids collide", flush=True)
    check(f"{len(announced)} devices are announced, not {agents * (METERS + 1)}", len(announced) == agents * (METERS + 1))
    check(f"ids collide: {twice[:3]}", not twice)


def one_broker(program, count):
    broker, port = mosquitto()
    sent = Sent(port)
    lab.until("the broker counts", 20, sent.now)
    agents = []
    costs = {}
    for number in range(count):
        agents.append(lab.Agent(program, f"a{number}", [f"mqtt://127.0.0.1:{port}"], base=f"mbushat/a{number}", meters=METERS,
                                interval=INTERVAL, client_id=False))
        agents[-1].start()
        time.sleep(0.1)
        if number + 1 in (count // 2, count):
            time.sleep(20)
            costs[number + 1] = birth(sent, port, number + 1)
    with_listener(sent, port, count)
    busy, busy_broker, begin = sum(cpu(a.process) for a in agents), cpu(broker), time.time()
    counter = Client(port, ["mbushat/+/+/reading"], clean=True)
    time.sleep(60)
    counter.stop()
    took = time.time() - begin
    readings = len(counter.messages)
    agents_cpu, broker_cpu = sum(cpu(a.process) for a in agents) - busy, cpu(broker) - busy_broker
    memory = sum(proportional_memory(a.process) for a in agents) / count
    print(f"{count:5} agents: {readings / took:.1f} readings/s, {100 * agents_cpu / took:.1f} % of one core for all agents, "
          f"{100 * broker_cpu / took:.1f} % for the broker, {memory:.2f} MB each (PSS)", flush=True)
    check(f"an agent gets {costs[count] / count:.3f} MB at a birth", costs[count] < SHARE_MB * count)
    check("every agent still runs", all(a.process.poll() is None for a in agents))
    for one in agents:
        one.process.terminate()
    for one in agents:
        lab.stop(one.process)
    lab.kill(broker)


def buses(program, count, useless):
    """One process with many buses: processor seconds, and meters that were not heard."""
    broker, port = mosquitto()
    folder = f"buses-{useless}"
    configuration = f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\nbase_topic = "many"\n[store]\ndirectory = "{lab.lab}/{folder}/store"\n'
    for bus in range(count):
        meters = "".join(f'[[meter]]\nmodel = "cold_water"\naddress = {place}\nid = "{0 if useless else 10000000 + bus * 10 + place:08}"\n'
                         for place in range(1, METERS + 1))
        path = lab.write(f"{folder}/bus{bus}.toml", f"baud = 9600\nseed = {bus + 1}\n{meters}")
        configuration += f'[[bus]]\nname = "b{bus}"\nport = "sim:{path}"\nbaud = 9600\n'
        configuration += "".join(f'[[meter]]\nname = "m{bus}_{place}"\nbus = "b{bus}"\naddress = {place}\ninterval = "60s"\n'
                                 for place in range(1, METERS + 1))
    heard = Client(port, ["many/+/availability"], clean=True)
    process = lab.start(folder, [program, "run", "--config", lab.write(f"{folder}/mbushat.toml", configuration)],
                        env=os.environ | {"RUST_LOG": "error"})
    time.sleep(WATCH_S)
    online = {topic for _, topic, _, payload in list(heard.messages) if payload == b"online"}
    seconds, missing = cpu(process), count * METERS - len(online)
    print(f"{count:5} buses, ids {'all 00000000' if useless else 'of their own'}: {seconds:.1f} s of processor time in {WATCH_S} s, "
          f"{missing} of {count * METERS} meters not heard", flush=True)
    check(f"{missing} meters are not heard", not missing)
    heard.stop()
    for one in (process, broker):
        lab.kill(one)
    return seconds


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program, agents, segments = os.path.abspath(sys.argv[1]), *map(int, (sys.argv[2:] + ["200", "1000"][len(sys.argv) - 2:]))
    if agents:
        one_broker(program, agents)
    if segments:
        own, shared = buses(program, segments, False), buses(program, segments, True)
        check(f"the shared id costs {shared / own:.1f} times as much", shared < 2 * own)
    return lab.verdict()


lab.run(main)
