#!/usr/bin/env python3
"""homeassistant.py MBUSHAT [options] [PART ...]: a real Home Assistant takes everything, without a word.

`mbushat run` reads twelve simulated models and publishes to a broker to which a Home Assistant is
connected (MQTT integration with discovery). The script asks Home Assistant itself, over its WebSocket
API, what it made of that. Parts, in this order where none is named:

  entities   every measurement an entity with the unit and class of the document, values right
  life       a meter silent, back, renamed, swapped, removed: what Home Assistant shows at each step
  restarts   the same while the agent is down, with its store and without it, and while Home Assistant
             is off (needs the commands that stop and start it)
  meanings   rules that change units, classes and keys, names exchanged, meters switched off: while the agent
             runs, is stopped, is killed, lost its store, and while the broker was killed (that needs the
             commands that stop and start it); no wrong number in the history, nothing booked, nothing renamed
  others     a second agent under the same base topic, and what is left when it stops
  moved      another base topic, by a restart, by a reload, after a kill and with the broker
             killed meanwhile, and back: nothing is left, nothing is said
  controls   scan and bus power pressed in Home Assistant; times of the meter's clock
  orders     Home Assistant, broker and agent restarted in every order (needs all commands)
  burst      twenty announcements in a burst leave all components equal
  statistics the recorder has statistics of every counter and measurement, the energy dashboard no issue, and
             in all parts before nothing was booked for the meters that stand still, and no entity got another
             id (waits for the recorder's next 5 minutes)
  keep       keep_entities: another meter goes on under the old entities, over restarts, a lost store and a
             killed broker; only what it counted is booked

At the end of each part Home Assistant's log must have no warning or error about MQTT.

A Home Assistant to throw away: `pip install homeassistant`, `hass -c DIR`, onboard it, add the MQTT
integration with the broker, and make a long-lived token on the profile page. Standard library only,
plus mosquitto_pub and mosquitto_sub."""
import argparse
import contextlib
import datetime
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from ha_api import HomeAssistant

PARTS = ["entities", "life", "restarts", "meanings", "others", "moved", "controls", "orders", "burst", "statistics", "keep"]
LIVE = ["heat", "cooling", "cold_water", "warm_water", "gas", "heat_cost_allocator", "pulse_converter", "room_sensor"]
KNOWN = {"ats_ec20": 48, "eastron_sdm220": 1}
# device class, unit and state class that the users of each model expect
EXPECTED = {
    "heat": {"energy": ("energy", "kWh", "total_increasing"), "volume": ("volume", "m³", "total_increasing"),
             "power": ("power", "W", "measurement"), "volume_flow": ("volume_flow_rate", "m³/h", "measurement"),
             "flow_temperature": ("temperature", "°C", "measurement")},
    "cooling": {"energy": ("energy", None, "total_increasing")},
    "cold_water": {"volume": ("water", "m³", "total_increasing")},
    "warm_water": {"volume": ("water", "m³", "total_increasing")},
    "gas": {"volume": ("gas", "m³", "total_increasing")},
    "heat_cost_allocator": {"hca_units": (None, "HCU", "total_increasing")},
    "room_sensor": {"relative_humidity": ("humidity", "%", "measurement")},
    "four_tariffs": {"energy_import": ("energy", "kWh", "total_increasing"),
                     "energy_export": ("energy", "kWh", "total_increasing"),
                     "voltage_l1": ("voltage", "V", "measurement"), "current_l1": ("current", "A", "measurement"),
                     "reactive_energy": ("reactive_energy", "kvarh", "total_increasing")},
    "heat_and_cooling": {"energy": ("energy", "kWh", "total_increasing"),
                         "temperature_difference": ("temperature_delta", "K", "measurement")},
    "ats_ec20": {"volume": ("water", "m³", "total_increasing"), "on_time": ("duration", "h", "total_increasing")},
    "eastron_sdm220": {f"active_energy_{n}": ("energy", "kWh", "total_increasing") for n in range(1, 7)},
}


def telegram(address, identity, records):
    body = bytes([0x08, address, 0x72]) + bytes.fromhex(identity) + bytes([1, 0, 0, 0]) + bytes.fromhex(records)
    return (bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) % 256, 0x16])).hex().upper()


FOUR_TARIFFS = telegram(30, "010000202D2C1D02",
                        "04833B40E20100 04833C10270000 8410833B47F41000 8420833B8EE82100 8430833B01000000"
                        "848010833B02000000 042BDC050000 04ABFC01DC050000 02FDC8FC01FD08 02FDD9FC018F19 02FB2EF401"
                        "04FB82751E140000 04FB14E1100000 04FBB475CD810100")
HEAT_RECORDS = ("0406{energy} 8410064F000000 0C1432547698 023BE204 022D6903 025A8D02 025EA501 0262E800"
                "046D{clock} 426C8F21 4406C0D40100 0C7802000020 01FD1700")


def heat_and_cooling(number="02000020", energy="40E20100", clock="2D2D1D32"):
    return telegram(31, f"{number}2D2C1D0D", HEAT_RECORDS.format(energy=energy, clock=clock))


ZONE = "Asia/Kolkata"  # not Home Assistant's own


# ---------------------------------------------------------------- broker, agent, checks
def complaints():
    """What it complained about, of MQTT and what MQTT feeds."""
    with open(args.log, errors="replace") as file:
        lines = file.read().splitlines()
    about = re.compile(r"mqtt|recorder|energy|helpers\.template|components\.(binary_)?sensor|components\.button", re.I)
    loud = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")
    # nothing that we sent: a busy machine; a chatty log level; the broker that this script ends; the live models, whose
    # counters begin anew when this script starts the simulator again
    ours = re.compile(r"logging too frequently|Updating state for \S+ .* took [\d.]+ seconds|connection was lost|paho\.mqtt\.client|The client is not currently connected|"
                      rf"sensor\.({'|'.join([*LIVE, 'other'])})_\S+ .*not strictly increasing")
    return [line for line in lines if loud.search(line) and about.search(line) and not ours.search(line)]


def mosquitto(program, *arguments):
    host, port = args.broker.split(":")
    command = [program, "-h", host, "-p", port, "-V", "mqttv311", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def retained(filter_):
    lines = mosquitto("mosquitto_sub", "-t", filter_, "-F", "%t\t%p", "-W", "2", "--retained-only").splitlines()
    return dict(line.split("\t", 1) for line in lines)


def fail(what):
    if os.path.exists(agent_log):
        print(f"--- agent\n{open(agent_log, errors='replace').read()[-3000:]}")
    sys.exit(f"FAIL: {what}")


def check(what, ok, detail=""):
    if not ok:
        fail(f"{what} {detail}")
    print(f"ok   {what}", flush=True)


def until(what, condition, seconds=60):
    start = time.time()
    while True:
        try:
            value = condition()
        except (OSError, RuntimeError) as error:
            value, what = None, f"{what} ({error})"
        if value:
            print(f"ok   {what} ({time.time() - start:.1f} s)", flush=True)
            return value
        if time.time() - start > seconds:
            fail(f"{what}: not within {seconds} s")
        time.sleep(0.3)


def write(name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(os.path.join(folder, name), 0o640)


def meters():
    """name -> (address, table of the simulation)"""
    table = {model: (10 + n, f'model = "{model}"\naddress = {10 + n}\nid = "1000000{n}"') for n, model in enumerate(LIVE)}
    table |= {model: (at, f'model = "{model}"\naddress = {at}') for model, at in KNOWN.items()}
    table["four_tariffs"] = (30, f'telegrams = ["{FOUR_TARIFFS}"]')
    table["heat_and_cooling"] = (31, f'telegrams = ["{heat_and_cooling()}"]')
    return table


def configure(table, titles=None, more="", rules=None, base="mbushat"):
    host, port = args.broker.split(":")
    text = f'[agent]\ntimezone = "{ZONE}"\n[mqtt]\nurl = "mqtt://{host}:{port}"\nbase_topic = "{base}"\n[store]\ndirectory = "{folder}/store"\n{more}'
    text += f'[[bus]]\nname = "wire"\nport = "tcp://127.0.0.1:{simulator_port}"\nbaud = 9600\n'
    for name, (address, _) in table.items():
        title = (titles or {}).get(name)
        text += f'[[meter]]\nname = "{name}"\nbus = "wire"\naddress = {address}\ninterval = "30s"\n' + (f'title = "{title}"\n' if title else "")
        text += (rules or {}).get(name, "")
    write("mbushat.toml", text)


def simulate(table):
    """The simulated bus in a process of its own, so that meters come and go while the agent runs."""
    global simulator
    end(simulator)
    write("bus.toml", "baud = 9600\n" + "".join(f"[[meter]]\n{plan}\n" for _, plan in table.values()))
    simulator = subprocess.Popen([args.mbushat, "simulate", "--tcp", f"127.0.0.1:{simulator_port}",
                                  os.path.join(folder, "bus.toml")], stdout=open(agent_log, "ab"),
                                 stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def end(process, how=signal.SIGTERM):
    if process is not None:
        process.send_signal(how)
        process.wait(60)


def agent_start():
    global agent
    agent = subprocess.Popen([args.mbushat, "run", "--config", os.path.join(folder, "mbushat.toml")],
                             stdout=open(agent_log, "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def agent_stop(how=signal.SIGTERM):
    global agent
    end(agent, how)
    agent = None


def agent_restart(table, titles=None, how=signal.SIGTERM, more="", lose_the_store=False, rules=None, base="mbushat"):
    agent_stop(how)
    if lose_the_store:
        shutil.rmtree(os.path.join(folder, "store"))
    configure(table, titles, more, rules, base)
    agent_start()


def documents():
    """device id -> document, of everything this agent announces; without the components that it removes."""
    topics = retained("homeassistant/device/+/+/config")
    found = {topic.split("/")[3]: json.loads(payload) for topic, payload in topics.items() if payload}
    for value in found.values():
        value["cmps"] = {key: component for key, component in value["cmps"].items() if "uniq_id" in component}
    return {key: value for key, value in found.items() if value["o"]["name"] == "mbushat"}


def by_name(found):
    return {value["stat_t"].split("/")[1]: value for value in found.values() if "stat_t" in value}


def announced(names):
    return set(by_name(documents())) == set(names)


def quiet(since):
    check("Home Assistant's log has no warning or error about MQTT", complaints()[since:] == [], "\n".join(complaints()[since:]))


# ---------------------------------------------------------------- parts
def part_entities():
    table = meters()
    simulate(table)
    agent_restart(table)
    until("every meter is announced", lambda: announced(table), 120)
    found = documents()
    check("one device for each meter and one for the agent", len(found) == len(table) + 1, str(sorted(found)))
    wanted = {component["uniq_id"]: component for value in found.values() for component in value["cmps"].values()}
    until("every component is an entity", lambda: set(wanted) <= set(ha.entities()), 30)
    time.sleep(2)
    got = ha.entities()
    for unique_id, component in wanted.items():
        entity = got[unique_id]
        if component.get("en") is False:
            check_quietly(f"{entity['entity_id']} is disabled", entity["disabled_by"] == "integration")
            continue
        check_quietly(f"{unique_id} is {component['def_ent_id']}", entity["entity_id"] == component["def_ent_id"], entity["entity_id"])
        attributes = entity["state"]["attributes"]
        shown = tuple(attributes.get(key) for key in ("device_class", "unit_of_measurement", "state_class"))
        said = tuple(component.get(key) for key in ("dev_cla", "unit_of_meas", "stat_cla"))
        check_quietly(f"{entity['entity_id']} is shown as announced", shown == said, f"{shown} {said}")
        check_quietly(f"{entity['entity_id']} has a state", entity["state"]["state"] != "unavailable")
    print(f"ok   {len(wanted)} components are entities as announced", flush=True)
    states = {topic.split("/")[1]: json.loads(payload) for topic, payload in retained("mbushat/+/state").items()
              if not topic.startswith("mbushat/bridge/")}
    names = by_name(found)
    for name, values in states.items():
        known = set(names[name]["cmps"]) | {f"{key}_zoned" for key in names[name]["cmps"]} | {"read_at", "seq", "status"}
        missing = set(values) - known
        check_quietly(f"every measurement of {name} is a component", not missing, str(missing))
        for key, (device_class, unit, state_class) in EXPECTED.get(name, {}).items():
            component = names[name]["cmps"].get(key) or fail(f"{name} has no {key}")
            told = (component.get("dev_cla"), component.get("stat_cla"))
            right = told == (device_class, state_class) and unit in (None, component.get("unit_of_meas"))
            check_quietly(f"{name} {key} is {device_class}", right, str(component))
    for key in [key for key in states["ats_ec20"] if key in ("volume", "on_time", "power", "flow_temperature")]:
        entity = got[names["ats_ec20"]["cmps"][key]["uniq_id"]]
        check(f"ats_ec20 {key} is {states['ats_ec20'][key]}", float(entity["state"]["state"]) == states["ats_ec20"][key])
    check("no entity carries the device's name in its own", all(
        not (entity["original_name"] or "").lower().startswith(name.replace("_", " "))
        for name, value in names.items() for component in value["cmps"].values()
        for entity in [got[component["uniq_id"]]]))


def check_quietly(what, ok, detail=""):
    if not ok:
        fail(f"{what}: not so. {detail}")


def shown(name, key):
    """The state of an entity by meter and component, or None."""
    component = by_name(documents()).get(name, {"cmps": {}})["cmps"].get(key)
    entity = ha.entities().get(component["uniq_id"]) if component else None
    return entity and entity["state"] and entity["state"]["state"]


def changed(name, edit):
    table = meters()
    table[name] = (table[name][0], edit(table[name][1]))
    return table


def part_life():
    running()
    gas, water, room = ha_id("gas"), ha_id("cold_water"), ha_id("room_sensor")
    good = lambda name, key: shown(name, key) not in (None, "unavailable", "unknown")
    simulate(changed("gas", lambda plan: plan + "\nsilent = true"))
    until("silenced: its values are unavailable", lambda: shown("gas", "volume") == "unavailable", 180)
    check("silenced: its button stays usable", shown("gas", "read-now") not in (None, "unavailable"))
    check("silenced: its last read stays", good("gas", "last-read"))
    check("silenced: its neighbours stay", good("cold_water", "volume") and good("heat", "energy"))
    simulate(meters())
    press(component_id("gas", "read-now"))
    until("back at a press of Read now: its values are available", lambda: good("gas", "volume"), 30)
    check("back: it is the same device", ha_id("gas") == gas)
    simulate(changed("gas", lambda plan: plan.replace('id = "1000000', 'id = "7000000')))
    until("swapped: there is a new device", lambda: ha_id("gas") not in (None, gas), 120)
    until("swapped: the old device is gone", lambda: gas not in ha.devices(), 30)
    new = ha.entities()[component_id("gas", "volume")]["entity_id"]
    check("swapped: the new entity's id ends in the new meter's", new.endswith("_70000004"), new)
    entity = ha.entities()[component_id("cold_water", "volume")]["entity_id"]
    agent_restart(meters(), {"cold_water": "Kitchen"})
    until("renamed: the device has the new name", lambda: ha.devices()[water]["name"] == "Kitchen", 60)
    check("renamed: its entities kept their ids", ha.entities()[component_id("cold_water", "volume")]["entity_id"] == entity)
    simulate(meters())
    agent_restart({name: plan for name, plan in meters().items() if name != "room_sensor"})
    until("removed: no device, no entity", lambda: room not in ha.devices() and not any(
        room in unique_id for unique_id in ha.entities()), 60)
    check("removed: nothing of it is retained", not any("room_sensor" in topic for topic in retained("mbushat/#")))
    agent_restart(meters())
    until("put back: it is there again", lambda: good("room_sensor", "relative_humidity"), 120)
    until("swapped back: the first device is there again", lambda: ha_id("gas") == gas and good("gas", "volume"), 120)
    agent_stop(signal.SIGKILL)
    until("killed: everything is unavailable", lambda: shown("heat", "energy") == "unavailable", 90)
    agent_restart(meters())
    until("started again: everything is right", all_right, 60)


def part_restarts():
    running()
    heat, gas, room = ha_id("heat_and_cooling"), ha_id("gas"), ha_id("room_sensor")
    old = ha.entities()[component_id("heat_and_cooling", "energy")]["entity_id"]
    began = time.time()
    agent_stop()
    # a new meter that has counted one kilowatt-hour
    swapped = changed("heat_and_cooling", lambda _: f'telegrams = ["{heat_and_cooling("99000020", "01000000")}"]')
    simulate(swapped)
    with Listener("mbushat/bridge/event") as events:
        agent_restart(swapped)
        until("swapped while the agent was down: there is a new device", lambda: ha_id("heat_and_cooling") not in (None, heat), 60)
        until("swapped: the old device is gone", lambda: heat not in ha.devices(), 30)
        told = [event for event in events.heard() if event.get("event") == "meter_replaced"]
        check("swapped: the event says so", [event["meter"] for event in told] == ["heat_and_cooling"], str(told))
    new = component_id("heat_and_cooling", "energy")
    until("swapped: the new entity has the new meter's value", lambda: shown("heat_and_cooling", "energy") in ("1", "1.0"), 30)
    new = ha.entities()[new]["entity_id"]
    check("swapped: its id ends in the new meter's", new.endswith("_20000099") and new != old, new)
    time.sleep(3)
    history = ha("history/history_during_period", start_time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began - 30)),
                 entity_ids=[old], minimal_response=True, no_attributes=True)
    values = {float(state["s"]) for state in history.get(old, []) if state["s"] not in (None, "unavailable", "unknown", "")}
    check("swapped: the old entity's history has only the old meter's values", values == {123456}, str(values))
    simulate(meters())
    agent_restart(meters())
    until("swapped back: the first device is there again", lambda: ha_id("heat_and_cooling") == heat, 90)
    volume = ha.entities()[component_id("gas", "volume")]["entity_id"]
    for lost in (False, True):
        how = "without the store" if lost else "with the store"
        # what the store does not remember may be another agent's until none was heard for 70 s
        alone = 80 if lost else 0
        names = {("town_gas" if name == "gas" else name): plan for name, plan in meters().items() if name != "room_sensor"}
        agent_restart(names, more=SECOND_BUS, lose_the_store=lost)
        until(f"renamed {how}: it is the same device", lambda: ha_id("town_gas") == gas, 90)
        until(f"renamed {how}: its values are there", lambda: shown("town_gas", "volume") not in (None, "unavailable", "unknown"), 60)
        check(f"renamed {how}: its entities kept their ids", ha.entities()[component_id("town_gas", "volume")]["entity_id"] == volume)
        until(f"renamed {how}: nothing of the old name is retained", lambda: not retained("mbushat/gas/#"), 5 + alone)
        until(f"removed {how}: no device, no entity", lambda: room not in ha.devices() and not any(
            room in unique_id for unique_id in ha.entities()), 60 + alone)
        check(f"removed {how}: nothing of it is retained", not retained("mbushat/room_sensor/#"))
        until(f"a second bus {how}: it is on the agent's device", lambda: "mbushat_bridge_attic_scan" in ha.entities(), 30)
        agent_restart(meters(), lose_the_store=lost)
        until(f"removed bus {how}: no entity of it", lambda: not any("attic" in unique_id for unique_id in ha.entities()), 30 + alone)
        until(f"all as before {how}: every meter has its values", all_right, 150)

    if not (args.stop_ha and args.start_ha):
        return print("SKIPPED: devices taken back while Home Assistant is off need --stop-ha and --start-ha", flush=True)
    without = {name: plan for name, plan in changed("gas", lambda plan: plan.replace('id = "1000000', 'id = "7000000')).items()
               if name != "room_sensor"}
    ghosts = lambda: [key for key in [*ha.devices(), *ha.entities()] if room in key or gas in key]
    for off in (True, False):
        how = "off" if off else "on"
        check(f"before Home Assistant is {how}: both devices are there", len(ghosts()) > 2)
        if off:
            run(args.stop_ha)
        agent_stop()
        simulate(without)
        agent_restart(without)
        until(f"removed and swapped while it is {how}: nothing is retained", lambda: not {room, gas} & set(documents())
              and ha_id("gas") is not None, 120)
        for n in range(2):
            if n or not off:
                run(args.stop_ha)
            run(args.start_ha)
            time.sleep(10)
            check(f"{how}, start {n + 1}: no device, no entity of either", not ghosts(), str(ghosts()))
            check(f"{how}, start {n + 1}: nothing of them is retained", not {room, gas} & set(documents()))
        agent_stop()
        simulate(meters())
        agent_restart(meters())
        until("put back and swapped back: every meter has its values", lambda: ha_id("gas") == gas and all_right(), 150)


UNITS = {"heat_and_cooling": '[[meter.record]]\nquantity = "energy"\nstorage = 0\nunit = "MWh"\n'
                             '[[meter.record]]\nquantity = "volume"\nunit = "L"\n',
         "four_tariffs": '[[meter.record]]\nquantity = "energy"\nstorage = 0\nunit = "GJ"\n'}
CLASSES = {"heat_and_cooling": '[[meter.record]]\nquantity = "volume"\ndevice_class = "water"\n',
           "four_tariffs": '[[meter.record]]\nquantity = "energy"\nstate_class = "total"\n'}
KEYS = {"heat_and_cooling": '[[meter.record]]\nquantity = "energy"\nstorage = 0\nkey = "volume"\n'
                            '[[meter.record]]\nquantity = "volume"\nkey = "energy"\n'}
OFF = {"heat_and_cooling": "enabled = false\n"}
COUNTERS = [("heat_and_cooling", "energy"), ("heat_and_cooling", "volume"), ("four_tariffs", "energy_import"),
            ("four_tariffs", "energy_export")]


def reload(table, rules, base="mbushat"):
    configure(table, rules=rules, base=base)
    agent.send_signal(signal.SIGHUP)


def broker_killed(table, rules, base="mbushat"):
    """Killed while the agent takes the change over: it forgets what it did not write yet."""
    run(args.stop_broker)
    reload(table, rules, base)
    time.sleep(2)
    run(args.start_broker)


WAYS = {"running": reload,
        "stopped": lambda table, rules, base="mbushat": agent_restart(table, rules=rules, base=base),
        "killed": lambda table, rules, base="mbushat": agent_restart(table, how=signal.SIGKILL, rules=rules, base=base),
        "without its store": lambda table, rules, base="mbushat": agent_restart(table, lose_the_store=True, rules=rules, base=base),
        "the broker killed": broker_killed}


def state(entity):
    """Number and unit that Home Assistant shows, once it has a number."""
    got = ha.entities()[entity]["state"]
    return got and got["state"] not in ("unavailable", "unknown", "") and (float(got["state"]), got["attributes"].get("unit_of_measurement"))


def registry(unique_ids):
    known = ha.entities()
    return {key: known[key]["entity_id"] for key in unique_ids if key in known}


def part_meanings():
    running()
    table, began = meters(), time.time()
    ways = {how: way for how, way in WAYS.items() if how != "the broker killed" or args.stop_broker and args.start_broker}
    if len(ways) < len(WAYS):
        print("SKIPPED: the broker killed needs --stop-broker and --start-broker", flush=True)
    ids = {pair: component_id(*pair) for pair in COUNTERS}
    entities, first = registry(ids.values()), {key: state(key) for key in ids.values()}
    pressed = lambda: all(press(component_id(name, "read-now")) or True for name in ("heat_and_cooling", "four_tariffs"))
    energy, volume = ids["heat_and_cooling", "energy"], ids["heat_and_cooling", "volume"]

    def settled(what, condition, rounds=90):
        start = time.time()
        while not condition():
            if time.time() - start > rounds:
                fail(f"{what}: {({key: state(key) for key in ids.values()})}")
            with contextlib.suppress(Exception):
                pressed()
            time.sleep(3)
        print(f"ok   {what} ({time.time() - start:.1f} s)", flush=True)

    for how, way in ways.items():
        way(table, UNITS)
        settled(f"{how}: other units are shown", lambda: state(energy) == (first[energy][0] / 1000, "MWh")
                and state(volume) == (first[volume][0] * 1000, "L") and state(ids["four_tariffs", "energy_import"])[1] == "GJ")
        way(table, None)
        settled(f"{how}: the units as before", lambda: {key: state(key) for key in ids.values()} == first)
        way(table, CLASSES)
        settled(f"{how}: other classes", lambda: state(volume) == first[volume]
                and ha.entities()[volume]["state"]["attributes"]["device_class"] == "water")
        way(table, None)
        settled(f"{how}: the classes as before", lambda: {key: state(key) for key in ids.values()} == first
                and ha.entities()[volume]["state"]["attributes"]["device_class"] == "volume")
        exchanged = dict(table)
        exchanged["heat_and_cooling"], exchanged["four_tariffs"] = table["four_tariffs"], table["heat_and_cooling"]
        way(exchanged, None)
        settled(f"{how}: names exchanged, every entity has its own value", lambda: {key: state(key) for key in ids.values()} == first
                and (ha_id("four_tariffs") or "-") in energy)
        way(table, None)
        settled(f"{how}: names as before", lambda: {key: state(key) for key in ids.values()} == first and (ha_id("heat_and_cooling") or "-") in energy)
        way(table, OFF)
        until(f"{how}: a meter switched off is unavailable", lambda: shown("heat_and_cooling", "energy") == "unavailable", 30)
        time.sleep(5)
        check(f"{how}: and keeps its entities", registry(ids.values()) == entities)
        way(table, None)
        settled(f"{how}: a meter switched on again has its values", lambda: {key: state(key) for key in ids.values()} == first)
        check(f"{how}: all entities have the ids that they had", registry(ids.values()) == entities, str(registry(ids.values())))
    allowed = {entities[key]: {first[key]} for key in ids.values()}
    allowed[entities[energy]].add((first[energy][0] / 1000, "MWh"))
    allowed[entities[volume]].add((first[volume][0] * 1000, "L"))
    for pair in COUNTERS[2:]:
        allowed[entities[ids[pair]]].add((round(first[ids[pair]][0] * 0.0036, 9), "GJ"))
    history = ha("history/history_during_period", start_time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
                 entity_ids=list(allowed), minimal_response=False, no_attributes=False, significant_changes_only=False)
    for entity, values in allowed.items():
        seen = {(float(one["s"]), one.get("a", {}).get("unit_of_measurement")) for one in history[entity]
                if one["s"] not in ("unavailable", "unknown", "")}
        check(f"the history of {entity} pairs no number with a wrong unit: {sorted(seen)}", seen == values, str(values))
    wait_for_the_recorder()
    only_booked({entity: 0 for entity in allowed}, began)


def wait_for_the_recorder():
    wait = 300 - time.time() % 300 + 20
    print(f"     waiting {wait:.0f} s for the recorder", flush=True)
    time.sleep(wait)


def only_booked(expected, since):
    """What the recorder's statistics added up for each entity, and that they never went anywhere else."""
    sums = ha("recorder/statistics_during_period", start_time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since - 600)),
              statistic_ids=list(expected), period="5minute", types=["sum", "state"])
    for entity, most in expected.items():
        rows = [row for row in sums.get(entity, []) if row.get("sum") is not None]
        # an entity that is new has no period before; its sum begins at 0
        before = [row["sum"] for row in rows if row["start"] / 1000 + 300 <= since]
        booked = [row["sum"] - (before[-1] if before else 0) for row in rows[len(before):]]
        check(f"{entity}: booked {booked[-1] if booked else None} of {most} in {len(booked)} periods",
              booked and abs(booked[-1] - most) < 0.001 and all(-0.001 < sum < most + 0.001 for sum in booked), str(booked))


def part_others():
    """As two Raspberry Pis with one configuration: one base topic, other meters."""
    running()
    host, port = args.broker.split(":")
    other = os.path.join(folder, "other")
    os.makedirs(other, exist_ok=True)
    with open(os.path.join(other, "bus.toml"), "w", encoding="utf-8") as file:
        file.write('baud = 9600\n[[meter]]\nmodel = "cold_water"\naddress = 1\nid = "77777777"\n')
    with open(os.path.join(other, "mbushat.toml"), "w", encoding="utf-8") as file:
        file.write(f'[mqtt]\nurl = "mqtt://{host}:{port}"\nclient_id = "other"\n[store]\ndirectory = "{other}/store"\n'
                   f'[[bus]]\nname = "b"\nbaud = 9600\nport = "sim:{other}/bus.toml"\n[[meter]]\nname = "other"\naddress = 1\ninterval = "5s"\n')

    def broker_down():
        run(args.stop_broker)
        time.sleep(2)
        run(args.start_broker)

    meanwhile = {"both run": lambda: None,
                 "the first is restarted": lambda: agent_restart(meters()),
                 "the first loses its store": lambda: agent_restart(meters(), lose_the_store=True),
                 "the broker is killed": broker_down if args.stop_broker and args.start_broker else None}
    for how, happens in meanwhile.items():
        if happens is None:
            print(f"SKIPPED: {how} needs --stop-broker and --start-broker", flush=True)
        else:
            with_another(how, happens, other)


def with_another(how, happens, other):
    """A second agent comes, this happens, and it goes."""
    before = set(ha.devices())
    ids = registry([component["uniq_id"] for value in documents().values() for component in value["cmps"].values()])
    logs = (agent_log, os.path.join(other, "log"))
    said = lambda: [open(log, errors="replace").read().count("another agent publishes below") if os.path.exists(log) else 0 for log in logs]
    said_before = said()
    second = subprocess.Popen([args.mbushat, "run", "--config", os.path.join(other, "mbushat.toml")],
                              stdout=open(logs[1], "ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        until(f"{how}: the second agent's meter is there", lambda: any("77777777" in key for key in ha.devices()), 60)
        happens()
        time.sleep(100)
        check(f"{how}: after 100 s no device of the first is gone", before <= set(ha.devices()), str(before - set(ha.devices())))
        check(f"{how}: and no entity has another id", registry(ids) == ids)
        # the first one says it again only to a new process, or where the other was away for a while
        more = [now - then for now, then in zip(said(), said_before)]
        check(f"{how}: both say so, once a run: {more}", said()[0] > 0 and more[0] <= 2 and 1 <= more[1] <= 2, str(more))
    finally:
        second.terminate()
        second.wait(30)
    until(f"{how}: the second one stops: the first is online again", lambda: shown("heat_and_cooling", "energy") not in (None, "unavailable"), 60)
    for leftover in [topic for topic in retained("#") if "77777777" in topic or topic.startswith("mbushat/other/")]:
        mosquitto("mosquitto_pub", "-q", "1", "-r", "-n", "-t", leftover)
    until(f"{how}: every meter has its values", all_right, 150)


def part_moved():
    running()
    components = lambda: [component["uniq_id"] for value in documents().values() for component in value["cmps"].values() if "uniq_id" in component]
    until("what another agent had is gone", lambda: not any(id.startswith("mbushat_bridge_b_") for id in components()), 120)
    ids = registry(components())
    for how, way in WAYS.items():
        if how == "without its store":
            continue  # nothing else knows where the agent was
        if how == "the broker killed" and not (args.stop_broker and args.start_broker):
            print("SKIPPED: the broker killed needs --stop-broker and --start-broker", flush=True)
            continue
        for base, former in (("house/7", "mbushat"), ("mbushat", "house/7")):
            way(meters(), None, base)
            until(f"{base}, {how}: its state is online", lambda: retained(f"{base}/bridge/state").get(f"{base}/bridge/state") == "online", 60)
            topics = lambda: [*retained(f"{former}/#"), *(key for key in retained("homeassistant/device/#") if f"/{former.replace('/', '_')}/" in key)]
            until(f"{base}, {how}: nothing is left under {former}", lambda: not topics(), 30)
            until(f"{base}, {how}: its devices are there", lambda: any(f"{base.replace('/', '_')}_20000002" in key for key in ha.devices())
                  and not any(f"{former.replace('/', '_')}_20000002" in key for key in ha.devices()), 60)
    until("moved back: every meter has its values", all_right, 150)
    own = lambda: [key for key in ha.devices() if key.startswith("mbushat_")]
    for how in ("a restart", "a reload", "a kill"):
        for prefix in ("elsewhere", "homeassistant"):
            configure(meters(), more=f'[homeassistant]\ndiscovery_prefix = "{prefix}"\n')
            if how == "a reload":
                agent.send_signal(signal.SIGHUP)
            else:
                if how == "a kill":
                    time.sleep(12)  # what is remembered is written within ten seconds
                agent_stop(signal.SIGKILL if how == "a kill" else signal.SIGTERM)
                agent_start()
            until(f"discovery prefix {prefix} by {how}: Home Assistant has {'no device' if prefix == 'elsewhere' else 'them again'}",
                  lambda: bool(own()) == (prefix != "elsewhere"), 60)
    until("its own prefix again: every meter has its values", all_right, 150)
    check("moved back: no entity has another id", registry(ids) == ids, str(set(registry(ids).items()) ^ set(ids.items())))


def run(command):
    subprocess.run(shlex.split(command), check=True, stdout=subprocess.DEVNULL)


SECOND_BUS = '[[bus]]\nname = "attic"\nport = "/dev/no_such_uart"\nhat = true\n'


def part_controls():
    running()
    agent_restart(meters(), more=SECOND_BUS)
    agent_id = "mbushat_bridge"
    until("the second bus is on the agent's device", lambda: f"{agent_id}_attic_power" in ha.entities(), 30)
    power = ha.entities()[f"{agent_id}_attic_power"]
    check("bus power is disabled at first", power["disabled_by"] == "integration" and power["state"] is None)
    clock = ha.entities()[component_id("heat_and_cooling", "date_time")]
    for entity in (power, clock):
        ha("config/entity_registry/update", entity_id=entity["entity_id"], disabled_by=None)
    state_of = lambda unique_id: (ha.entities()[unique_id]["state"] or {}).get("state")
    until("enabled: the switch is there", lambda: state_of(power["unique_id"]) not in (None, "unavailable"), 90)
    zoned = json.loads(retained("mbushat/heat_and_cooling/state")["mbushat/heat_and_cooling/state"])["date_time_zoned"]
    check("the time of the meter's clock has the offset of the configured zone", zoned.endswith("+05:30"), zoned)
    instant = datetime.datetime.fromisoformat(zoned).astimezone(datetime.timezone.utc).isoformat()
    until(f"enabled: the time of the meter's clock is {instant}", lambda: state_of(clock["unique_id"]) == instant, 60)
    simulate(changed("heat_and_cooling", lambda _: f'telegrams = ["{heat_and_cooling(clock="FFFFFFFF")}"]'))
    until("a time that the meter calls invalid is unknown", lambda: state_of(clock["unique_id"]) == "unknown", 60)
    stranger = {**meters(), "stranger": (60, 'model = "cold_water"\naddress = 60\nid = "60000000"')}
    simulate(stranger)
    for on in (False, True):
        with Listener("mbushat/bridge/request/power", "mbushat/bridge/response/power") as heard:
            ha("call_service", domain="switch", service="turn_on" if on else "turn_off", target={"entity_id": power["entity_id"]})
            # there is no Hat: the answer says so, since it comes only when the pin has moved or cannot move
            until(f"bus power {on}: asked for, and answered with why it cannot be", lambda: {"bus": "attic", "on": on} in heard.heard() and [
                message for message in heard.heard() if message.get("status") == "error" and "the bus is down" in message["error"]], 20)
    with Listener("mbushat/bridge/event") as events:
        press(f"{agent_id}_wire_scan")
        until("Scan pressed: its result is on the agent's device", lambda: state_of(f"{agent_id}_found") == str(len(stranger)), 300)
        check("Scan: the meter nobody configured is an event", {"event": "meter_found", "bus": "wire", "address": "60"}.items() <= next(
            (event for event in events.heard() if event.get("event") == "meter_found"), {}).items(), str(events.heard()))
    attributes = ha.entities()[f"{agent_id}_found"]["state"]["attributes"]
    check("Scan: which ones is in the attributes", "60" in json.dumps(attributes["meters"]), json.dumps(attributes))
    simulate(meters())
    agent_restart(meters())


class Listener:
    """The JSON messages on some topics while it is open."""

    def __init__(self, *topics):
        host, port = args.broker.split(":")
        filters = [word for topic in topics for word in ("-t", topic)]
        self.file = os.path.join(folder, "heard")
        with open(self.file, "wb") as file:
            self.process = subprocess.Popen(["mosquitto_sub", "-h", host, "-p", port, "-R", *filters], stdout=file)
        time.sleep(1)

    def __enter__(self):
        return self

    def heard(self):
        with open(self.file, encoding="utf-8") as file:
            return [json.loads(line) for line in file.read().splitlines()]

    def __exit__(self, *_):
        end(self.process)


def running():
    global at_the_start
    if agent is None:
        simulate(meters())
        agent_restart(meters())
    until("every meter has its values in Home Assistant", all_right, 150)
    if at_the_start is None:
        at_the_start = standing(), time.time()


def standing():
    """The entity ids of the counters that never change."""
    return registry(component_id(*pair) for pair in COUNTERS)


def part_keep():
    name, energy = "kept", lambda: shown("kept", "energy")
    is_shown = lambda number: energy() in (str(number), f"{number}.0")
    plan = lambda number, kwh: {**meters(), name: (32, f'telegrams = ["{telegram(32, number + "2D2C1D04", "0406" + kwh.to_bytes(4, "little").hex())}"]')}
    rules = {name: "keep_entities = true\n"}
    simulate(plan("32000020", 5000))
    agent_restart(plan("32000020", 5000), rules=rules)
    until("the first meter's energy", lambda: is_shown(5000), 90)
    device, unique_id = ha_id(name), component_id(name, "energy")
    entity, began = ha.entities()[unique_id]["entity_id"], time.time()

    def counted(what, number, kwh, shows, way=None):
        simulate(plan(number, kwh))
        if way:
            way(plan(number, kwh), rules)
        read = lambda: json.loads(retained(f"mbushat/{name}/state").get(f"mbushat/{name}/state") or "{}").get("energy")
        until(f"{what}: it is read", lambda: read() == kwh, 150)
        until(f"{what}: {shows} kWh are shown", lambda: is_shown(shows), 150)
        check(f"{what}: device and entity are the first meter's", (ha_id(name), ha.entities()[unique_id]["entity_id"]) == (device, entity))

    # the new meter has 7 on its clock: its first reading adds nothing
    counted("another meter", "33000020", 7, 5000)
    counted("it counts", "33000020", 9, 5002)
    total = 5002
    for how, way in WAYS.items():
        if how == "the broker killed" and not (args.stop_broker and args.start_broker):
            print("SKIPPED: the broker killed needs --stop-broker and --start-broker", flush=True)
        elif how != "without its store":  # which is where the constant is kept
            total += 1
            counted(how, "33000020", total - 4993, total, way)
    wait_for_the_recorder()
    only_booked({entity: total - 5000}, began)
    simulate(meters())
    agent_restart(meters())


def press(unique_id):
    ha("call_service", domain="button", service="press", target={"entity_id": ha.entities()[unique_id]["entity_id"]})


def ha_id(name):
    return next((key for key, value in documents().items() if value.get("stat_t", "").split("/")[1:2] == [name]), None)


def component_id(name, key):
    return by_name(documents())[name]["cmps"][key]["uniq_id"]


def all_right():
    """Whether every enabled entity has a state and every meter's values are there, the newest ones."""
    found, got = documents(), ha.entities()
    newest = {topic.split("/")[1]: json.loads(payload) for topic, payload in retained("mbushat/+/state").items() if payload[0] == "{"}
    for value in found.values():
        for key, component in value["cmps"].items():
            entity = got.get(component["uniq_id"])
            if entity is None:
                return False
            if component.get("en") is False:
                continue
            state = entity["state"]
            if state is None or state["state"] == "unavailable":
                return False
            if component["p"] != "sensor" or not component.get("stat_cla"):
                continue
            told = newest.get(value.get("stat_t", "/").split("/")[1], {}).get(key)
            if state["state"] == "unknown" or told is not None and float(state["state"]) != float(told):
                return False
    return len(found) == len(meters()) + 1


def part_orders():
    if not (args.stop_ha and args.start_ha and args.stop_broker and args.start_broker):
        return print("SKIPPED: orders needs --stop-ha, --start-ha, --stop-broker and --start-broker", flush=True)
    running()

    def restart_agent():
        agent_restart(meters())

    def restart_ha():
        run(args.stop_ha)
        run(args.start_ha)

    def restart_broker():
        run(args.stop_broker)
        run(args.start_broker)

    steps = {"Home Assistant": restart_ha, "broker": restart_broker, "agent": restart_agent}
    for order in itertools.permutations(steps):
        for step in order:
            steps[step]()
        until(f"right again after {', '.join(order)}", all_right, 15)
        time.sleep(3)
        until("and stays right", all_right, 10)


def part_burst():
    running()
    name = "heat_and_cooling"
    topic, value = next((key, value) for key, value in documents().items() if value.get("stat_t") == f"mbushat/{name}/state")
    for n in range(20):
        for component in value["cmps"].values():
            component["name"] = re.sub(r"( v\d+)?$", f" v{n}", component.get("name", "Named by its class"))
        mosquitto("mosquitto_pub", "-q", "1", "-t", f"homeassistant/device/mbushat/{topic}/config", "-m", json.dumps(value))
    agent_restart(meters())
    ids = {component["uniq_id"]: component["name"] for component in value["cmps"].values()}
    until("after twenty foreign announcements in a burst, ours is what all components show", lambda: not any(
        re.search(r" v\d+$", entity["original_name"] or "") for key, entity in ha.entities().items() if key in ids), 90)


def part_statistics():
    running()
    wait_for_the_recorder()
    now = standing()
    check(f"the entities of the meters that stand still have the ids they had at the start: {now}", now == at_the_start[0])
    only_booked({entity: 0 for entity in now.values()}, at_the_start[1])
    known = {entry["statistic_id"] for entry in ha("recorder/list_statistic_ids")}
    entities = [entity for entity in ha.entities().values() if entity["state"]]
    counted = [entity["entity_id"] for entity in entities if entity["state"]["attributes"].get("state_class")]
    check(f"the recorder has statistics of all {len(counted)} counters and measurements", set(counted) <= known,
          str(set(counted) - known))
    faults = {entity: fault for entity, fault in ha("recorder/validate_statistics").items() if entity in counted}
    check("the recorder finds no fault with them", not faults, json.dumps(faults))
    kind = {"energy": "grid", "gas": "gas", "water": "water"}
    sources = [(kind[entity["state"]["attributes"]["device_class"]], entity["entity_id"]) for entity in entities
               if entity["state"]["attributes"].get("device_class") in kind]
    ha("energy/save_prefs", energy_sources=[
        {"type": kind, "stat_energy_from": entity, **({"cost_adjustment_day": 0} if kind == "grid" else {})}
        for kind, entity in sources])
    issues = [group for group in ha("energy/validate")["energy_sources"] if group]
    check(f"the energy dashboard has no issue with {len(sources)} sources", not issues, json.dumps(issues))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("mbushat")
parser.add_argument("part", nargs="*", help=", ".join(PARTS))
parser.add_argument("--broker", default="127.0.0.1:1883", help="host:port of the broker, without a password")
parser.add_argument("--ha", default="127.0.0.1:8123", help="host:port of Home Assistant")
parser.add_argument("--token", required=True, help="a long-lived access token")
parser.add_argument("--log", required=True, help="Home Assistant's log file")
parser.add_argument("--stop-ha", help="command that ends Home Assistant")
parser.add_argument("--start-ha", help="command that starts it and returns when it is born")
parser.add_argument("--stop-broker", help="command that ends the broker")
parser.add_argument("--start-broker", help="command that starts it and returns when Home Assistant is connected again")
args = parser.parse_intermixed_args()
if unknown := set(args.part) - set(PARTS):
    parser.error(f"no such part: {', '.join(unknown)}")
agent = simulator = at_the_start = None
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    simulator_port = free.getsockname()[1]
temporary = tempfile.TemporaryDirectory(prefix="mbushat-ha-")
folder = temporary.name
agent_log = os.path.join(folder, "agent.log")
ha = HomeAssistant(args.ha, args.token)
for leftover in [*(f"homeassistant/device/mbushat/{key}/config" for key in documents()), *retained("mbushat/#")]:
    mosquitto("mosquitto_pub", "-q", "1", "-r", "-n", "-t", leftover)
try:
    for part in args.part or PARTS:
        print(f"--- {part}", flush=True)
        before = len(complaints())
        globals()[f"part_{part}"]()
        quiet(before)
finally:
    agent_stop()
    end(simulator)
print("all as promised")
