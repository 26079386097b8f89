#!/usr/bin/env python3
"""schemas.py MBUSHAT: every payload of an agent against docs/src/schema, on a real mosquitto.

Two agents read simulated meters, and one meter of this script that falls silent, is replaced and whose total leaps;
every request is made, every event happens. Each message must be on a channel of docs/src/asyncapi.yaml and fit its
schema; then each is spoiled in many ways (a field missing, one too many, one of another type), which the schema must
refuse, and of a request the agent too. Prints how many. Needs jsonschema and PyYAML, and mosquitto. About two minutes."""
import json
import os
import re
import sys
import threading

import jsonschema
import yaml

import broker_lab as lab
from schema_files import DOCS, SCHEMAS, validator
from schema_story import BASE, FULL, Story

EVENTS = {"meter_found", "meter_silent", "meter_back", "meter_replaced", "counter_fell", "counter_leapt", "counter_fault",
          "bus_down", "bus_up", "unclean_start", "other_agent", "readings_dropped"}
OPTIONAL = {"reading": {"held", "modifiers", "labels", "manufacturer_data", "unnamed", "telegrams"},
            "request": {"bus", "telegrams", "name", "title", "interval", "key", "secondary", "transaction"}}
MAPS = {"labels", "buses", "meters", "not_adopted", "left_out", "cmps"}


class Channel:
    def __init__(self, name, channel, messages):
        self.name, self.address, self.seen, self.received = name, channel["address"], [], 0
        (message,) = channel["messages"]
        message = messages[message]
        self.is_text = message.get("contentType") == "text/plain"
        self.schema = message.get("payload", {}).get("$ref")
        self.check = validator(re.sub(r"\./schema/(\w+)\.json", r"\1", self.schema)) if self.schema else None
        self.kind = self.schema and re.match(r"\./schema/(\w+)", self.schema)[1]
        pattern = re.escape(self.address).replace(r"\{base\}", f"(?:{BASE}|{FULL})").replace(r"\{prefix\}", "homeassistant")
        self.pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", pattern))

    def take(self, payload):
        self.received += 1
        if not payload or not self.check:  # what is removed is empty
            return
        value = payload.decode() if self.is_text else json.loads(payload)
        error = jsonschema.exceptions.best_match(self.check.iter_errors(value))
        if error:
            sys.exit(f"FAIL: {self.address} does not fit {self.schema}: {error.message} at {list(error.absolute_path)}\n{payload.decode()}")
        self.seen.append(value)


def load_channels():
    with open(f"{DOCS}/asyncapi.yaml", encoding="utf-8") as file:
        api = yaml.safe_load(file)
    return [Channel(name, channel, api["components"]["messages"]) for name, channel in api["channels"].items()]


CHANNELS = load_channels()


def channel_of(topic):
    """The one that fits with the fewest parameters."""
    fitting = sorted((c for c in CHANNELS if c.pattern.fullmatch(topic)), key=lambda c: c.address.count("{"))
    return fitting[0] if fitting else sys.exit(f"FAIL: {topic} is not a channel of asyncapi.yaml")


# --- mutations

def spoiled(value, path=()):
    """(path, what was done, the value so)"""
    yield path, "type", [1] if not isinstance(value, (list, dict)) else 7
    if isinstance(value, dict):
        yield path + ("added",), "added", value | {"added": [1]}
        for key, inner in value.items():
            yield path + (key,), "removed", {k: v for k, v in value.items() if k != key}
            for where, what, so in spoiled(inner, path + (key,)):
                yield where, what, value | {key: so}
    elif isinstance(value, list) and value:
        for where, what, so in spoiled(value[0], path + (0,)):
            yield where, what, [so, *value[1:]]


def may_be(kind, path, what):
    """What the schema allows on purpose."""
    if "transaction" in path:
        return (kind, path, what) != ("response", ("transaction",), "removed")
    if kind == "request" and what == "added" and len(path) == 1:
        return True
    if what == "removed":
        if path[-1] in OPTIONAL.get(kind, ()) or len(path) > 1 and path[-2] in MAPS:
            return True
        if kind == "response" and "data" in path and path[-1] in OPTIONAL["reading"]:
            return True
        if kind == "state":
            return path[-1] not in ("read_at", "seq", "status")
        if kind == "discovery":
            return path[-1] not in ("dev", "o", "cmps", "ids", "name", "p", "uniq_id", "t") or path[0] == "cmps" and path[-1] == "name"
    return False


def mutate(story):
    counts = {"refused": 0, "by the agent": 0}
    for channel in CHANNELS:
        if not channel.schema:
            continue
        by_shape = {}
        for value in channel.seen:
            shape = value.get("event") or f"{sorted(value)} {len(json.dumps(value)) // 1000}" if isinstance(value, dict) else value
            by_shape.setdefault(str(shape), value)
        for value in list(by_shape.values())[:12]:
            for path, what, so in spoiled(value):
                if channel.kind == "value" and what != "type" or may_be(channel.kind, path, what):
                    continue
                if channel.check.is_valid(so):
                    sys.exit(f"FAIL: {channel.schema} takes a payload with {path} {what}: {json.dumps(so)[:2000]}")
                counts["refused"] += 1
                if channel.kind == "request":
                    answer = story.ask(channel.address.rsplit("/", 1)[1], so)
                    if answer["status"] != "error":
                        sys.exit(f"FAIL: the agent obeys {channel.address} {so}")
                    counts["by the agent"] += 1
    return counts


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    story = Story(os.path.abspath(sys.argv[1]))
    lab.until(f"readings; {lab.log_of('agent')[-2000:]}", 60, lambda: len({m[1] for m in story.client.of("/reading")}) >= 13)
    rest = threading.Thread(target=story.totals, daemon=True)
    rest.start()
    story.requests()
    story.dropped()
    rest.join(200)
    story.others()
    story.unclean()
    story.expect("restart", {}, "ok")
    lab.until("the agent ended", 20, lambda: story.agent.poll() is not None)
    if story.agent.returncode != 75:
        sys.exit(f"FAIL: restart ends with {story.agent.returncode}")
    story.agent = story.run("agent", story.config)
    lab.until("online", 30, lambda: story.client.of(f"{BASE}/bridge/state")[-1][3] == b"online")
    requests = {c.address.rsplit("/", 1)[1]: c for c in CHANNELS if "/request/" in c.address}
    for verb, request in story.sent:
        requests[verb].take(json.dumps(request).encode())
    for _, topic, _, payload in list(story.client.messages):
        if topic.startswith((f"{BASE}/bridge/request", "homeassistant/status")):
            channel_of(topic).received += 1
        else:
            channel_of(topic).take(payload)
    judge(story)


def judge(story):
    missing = [c.address for c in CHANNELS if not c.received]
    events = {e["event"] for c in CHANNELS if c.name == "bridgeEvent" for e in c.seen}
    if missing or events != EVENTS or set(SCHEMAS["event"]["$defs"]) != EVENTS:
        sys.exit(f"FAIL: nothing was seen on {missing}, of events not {EVENTS - events}")
    counts = mutate(story)
    valid = sum(len(c.seen) for c in CHANNELS)
    print(f"PASS: {valid} payloads on {len(CHANNELS)} channels and {len(EVENTS)} kinds of event fit their schema; "
          f"{counts['refused']} spoiled ones are refused, {counts['by the agent']} requests of them by the agent too")


try:
    main()
finally:
    lab.stop_all()
