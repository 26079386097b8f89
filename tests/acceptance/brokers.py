#!/usr/bin/env python3
"""brokers.py MBUSHAT [BROKER...]: the agent with brokers of other makers, from a Debian 13 root (needs root).

BROKER: mosquitto, rabbitmq, rabbitmq-3 (the same in MQTT 3.1.1), nats, ejabberd, aedes, amqtt; all unless said.
For each: which MQTT version `protocol = "auto"` gives; whether a retained topic comes to one who subscribes to it
exactly, and by a wildcard; how soon the last will comes after SIGKILL; and what becomes of readings while the broker
is killed for 8 s and a subscriber keeps its session: taken by the agent, delivered to the subscriber, lost, twice,
and the seconds from the broker's first answer to the next reading. Exits 1 where something is not as promised."""
import sys
import time

import broker_lab as lab
from mqtt_client import Client

DOWN_S, BACK_S, WILL_S = 8, 15, 5
WILDCARD = {"rabbitmq": False}  # it says so itself: retained messages only for exact filters


def check(broker, what, ok):
    if not ok:
        lab.failures.append(f"{broker}: {what}")
        print(f"FAIL {lab.failures[-1]}", flush=True)


def retained(broker, topic):
    client = Client(broker.port, [topic], *broker.login, clean=True)
    end = time.time() + 5
    while time.time() < end and not any(message[2] for message in list(client.messages)):
        time.sleep(0.05)
    client.stop()
    return any(message[2] for message in client.messages)


def outage(broker, agent, subscriber):
    time.sleep(6)
    killed = time.time()
    broker.kill()
    time.sleep(DOWN_S)
    broker.start()
    lab.until("the subscriber is back", 60, lambda: subscriber.up_since)
    since, kept = subscriber.up_since, subscriber.kept
    # what the broker had kept for the subscriber comes first, and tells nothing of the agent
    newer = lambda: [at for at, _, _, payload in subscriber.of("/reading", since) if lab.read_at(payload) > killed]
    lab.until("a reading after the outage", 60, newer)
    back = newer()[0] - since
    time.sleep(12)
    agent.stop()
    time.sleep(1)
    return kept, back


def row(name):
    kind, _, version = name.partition("-")
    broker = lab.BROKERS[kind](version or "auto")
    broker.start()
    base = f"{name}lab"
    subscriber = Client(broker.port, [f"{base}/#"], *broker.login)
    lab.until("the subscriber is connected", 20, lambda: subscriber.up_since)
    agent = lab.Agent(sys.argv[1], base, [f"mqtt://127.0.0.1:{broker.port}"], login=broker.login, protocol=broker.protocol)
    agent.start()
    lab.until(f"the first readings at {name}\n{agent.log()}", 60, lambda: len(subscriber.of("/reading")) >= 2)
    spoken = agent.speaks()
    exact, wildcard = retained(broker, f"{base}/bridge/state"), retained(broker, f"{base}/+/state")
    killed = time.time()
    agent.kill()
    wills = lambda: [m for m in subscriber.of("/bridge/state", killed) if m[3] == b"offline"]
    lab.until("the last will", 60, wills)
    will = wills()[0][0] - killed
    agent.start()
    lab.until("readings of the second start", 60, lambda: subscriber.of("/reading", killed + 1))
    kept, back = outage(broker, agent, subscriber)
    taken, cursor = agent.numbers()
    came = lab.readings(subscriber, base)
    lost, twice = len(set(range(1, taken + 1)) - set(came)), len(came) - len(set(came))
    kept_there = " / ".join("yes" if there else "no" for there in (exact, wildcard))
    print(f"{name:<11} | {spoken:<5} | {kept_there:<12} | {will:5.2f} s | "
          f"{taken:5} | {len(set(came)):9} | {lost:4} | {twice:5} | {back:5.1f} s{'' if kept else '   it has forgotten the session'}",
          flush=True)
    wanted = "3.1.1" if version == "3" or broker.speaks == 3 else "5"
    check(name, f"speaks MQTT {spoken}, not {wanted}", spoken == wanted)
    check(name, "no retained message to an exact filter", exact)
    check(name, "retained messages to a wildcard", wildcard == WILDCARD.get(kind, True))
    check(name, f"the will took {will:.1f} s", will < WILL_S)
    check(name, f"it delivered up to {cursor} of {taken}", cursor == taken)
    check(name, f"{lost} of {taken} lost", lost == 0 or (not kept and broker.forgets))
    check(name, f"back after {back:.1f} s", back < BACK_S)
    subscriber.stop()
    broker.close()


def main():
    lab.make_root()
    names = sys.argv[2:] or ["mosquitto", "rabbitmq", "rabbitmq-3", "nats", "ejabberd", "aedes", "amqtt"]
    print("broker      | auto  | exact / w.c. | will    | taken | delivered | lost | twice | back", flush=True)
    for name in names:
        try:
            row(name)
        except SystemExit as fault:
            lab.failures.append(name)
            print(fault, flush=True)
    return lab.verdict()


if len(sys.argv) < 2:
    sys.exit(__doc__)
lab.run(main)
