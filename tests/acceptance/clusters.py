#!/usr/bin/env python3
"""clusters.py MBUSHAT [--list] [--kills N] [CLUSTER...]: a cluster of three whose nodes are killed under load.

CLUSTER: rabbitmq (its default queues), rabbitmq-quorum, nats; all unless said. Three agents with two meters each reach
it through haproxy, with --list by the three nodes as a list in `url`. One node after another gets SIGKILL and starts
again 6 s later, 20 times. A subscriber, through haproxy, keeps its session. Shown for each cluster: readings that the
agents took, that came to the subscriber, that wait, were lost, came twice; seconds (half of them, all of them) from a
kill until the cluster serves again, and from then to each agent's next reading at the subscriber. It serves again when
a client that comes new each time has a subscription and two messages acknowledged, one of them retained, and the
subscriber is back. Needs root (see broker_lab.py). Exits 1 where a reading is lost, an agent is left `offline`, or an
agent takes more than 5 s (40 s with NATS); what was read last may wait, and is counted."""
import argparse
import threading
import time

import broker_lab as lab
from mqtt_client import Client

AGENTS, DOWN_S, SETTLE_S, WAITING = 3, 6, 5, 6
# A default queue of RabbitMQ is away with its node, and readings for it are refused until then: the agent tries again
# after pauses that begin at a second and grow slowly. NATS is silent to each packet for 4 s while it has no leader, then
# ends the connection.
BACK_S = {"rabbitmq": 5, "rabbitmq-quorum": 5, "nats": 40}
HAPROXY = """defaults
  mode tcp
  timeout connect 1s
  timeout client 5m
  timeout server 5m
  retries 3
  option redispatch 1
listen mqtt
  bind 127.0.0.1:{port}
  balance leastconn
  default-server check inter 500ms fall 1 rise 2 on-marked-down shutdown-sessions
"""


class Quorum(lab.RabbitMQ):
    queues = "quorum"


def is_whole(nodes):
    status = nodes[0].control("cluster_status", check=False)
    return all(status.count(node.node) > 2 for node in nodes)  # known, on disk, and running


def rabbitmq(kind):
    epmd = lab.free_port()
    lab.start_epmd(epmd)
    nodes = [kind(epmd=epmd) for _ in range(3)]
    for node in nodes:
        node.configure(nodes)
        node.start(None)
    for node in nodes:
        node.wait(240)
    lab.until("three nodes are one cluster", 120, lambda: is_whole(nodes))
    return nodes


def nats():
    nodes, routes = [lab.Nats() for _ in range(3)], [lab.free_port() for _ in range(3)]
    urls = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in routes)
    for node, port in zip(nodes, routes):
        node.configure(f'cluster {{ name: lab, listen: "127.0.0.1:{port}", routes: [{urls}] }}\n')
        node.start(None)
    for node in nodes:
        node.wait()
    return nodes


CLUSTERS = {"rabbitmq": lambda: rabbitmq(lab.RabbitMQ), "rabbitmq-quorum": lambda: rabbitmq(Quorum), "nats": nats}


def balancer(nodes):
    port = lab.free_port()
    lab.write(f"haproxy-{port}.cfg", HAPROXY.format(port=port) + "".join(
        f"  server node{place} 127.0.0.1:{node.port}\n" for place, node in enumerate(nodes)))
    process = lab.start(f"haproxy-{port}", lab.in_root("haproxy", "-db", "-f", f"{lab.LAB}/haproxy-{port}.cfg"))
    lab.until(f"haproxy lets in\n{lab.log_of(f'haproxy-{port}')}", 60, lambda: lab.answers(port))
    return process, port


def under_fire(nodes, count):
    """Kills one node after another; when each was killed."""
    kills = []
    for place in range(count):
        node = nodes[place % len(nodes)]
        kills.append(time.time())
        node.kill()
        time.sleep(DOWN_S)
        node.start(240)
        time.sleep(SETTLE_S)
    return kills


class Probe(threading.Thread):
    """When the cluster served a new client, as (connected, served): a subscription, a retained message and another."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.served = port, []
        self.start()

    def run(self):
        while True:
            client, end = Client(self.port, ["probe/#"], clean=True), time.time() + 6
            sent, connected = None, None
            while time.time() < end and not (sent and sent <= client.acks):
                if client.up_since not in (None, connected):
                    connected = client.up_since
                    try:
                        sent = {client.publish("probe/retained", "-", True), client.publish("probe/other", "-")}
                    except OSError:
                        sent = None
                time.sleep(0.02)
            if sent and sent <= client.acks:
                self.served.append((connected, time.time()))
            client.stop()
            time.sleep(0.2)


def delays(subscriber, probe, bases, kills):
    """From each kill until the cluster serves again, and from then to each agent's next reading."""
    cluster, agents = [], []
    for killed in kills:
        served = next(served for connected, served in probe.served if connected > killed)
        cluster.append(served - killed)
        for base in bases:
            came = [at for at, topic, _, payload in subscriber.of("/reading", killed)
                    if topic.startswith(f"{base}/") and lab.read_at(payload) > killed]
            at = came[0] if came else float("inf")
            agents.append(at - max([served] + [up for up in subscriber.ups if killed < up <= at]))
    return sorted(cluster), sorted(agents)


def trial(program, name, args):
    nodes = CLUSTERS[name]()
    proxy, port = balancer(nodes)
    urls = [f"mqtt://127.0.0.1:{node.port}" for node in nodes] if args.list else [f"mqtt://127.0.0.1:{port}"]
    bases = [f"{name}-{place}" for place in range(AGENTS)]
    probe = Probe(port)
    subscriber = Client(port, [f"{base}/#" for base in bases])
    lab.until("the subscriber is connected", 60, lambda: subscriber.up_since)
    agents = [lab.Agent(program, base, urls, interval="1s") for base in bases]
    for agent in agents:
        agent.start()
    lab.until("readings of all agents", 60, lambda: all(lab.readings(subscriber, base) for base in bases))
    kills = under_fire(nodes, args.kills)
    time.sleep(30)
    states = {base: subscriber.of(f"{base}/bridge/state")[-1][3] for base in bases}
    for agent in agents:
        agent.stop()
    taken, waiting = 0, 0
    for agent in agents:
        all_of_it, cursor = agent.numbers()
        taken, waiting = taken + all_of_it, waiting + all_of_it - cursor
    came = [(base, number) for base in bases for number in lab.readings(subscriber, base)]
    lost, (cluster, back) = taken - waiting - len(set(came)), delays(subscriber, probe, bases, kills)
    good = lost == 0 and waiting <= WAITING and back[-1] < BACK_S[name] and set(states.values()) == {b"online"}
    print(f"{name:<15} | {len(kills):5} | {taken:5} | {len(set(came)):9} | {waiting:7} | {lost:4} | {len(came) - len(set(came)):5} | "
          f"{cluster[len(cluster) // 2]:5.1f} {cluster[-1]:5.1f} | {back[len(back) // 2]:5.1f} {back[-1]:5.1f} | {'ok' if good else f'FAIL {states}'}", flush=True)
    subscriber.stop()
    for process in [proxy] + [node.process for node in nodes]:
        lab.kill(process)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mbushat")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("clusters", nargs="*", help="|".join(CLUSTERS))
    args = parser.parse_intermixed_args()
    lab.make_root()
    print("cluster         | kills | taken | delivered | waiting | lost | twice | cluster (s) | agents (s)  |", flush=True)
    return not all([trial(args.mbushat, name, args) for name in args.clusters or CLUSTERS])


lab.run(main)
