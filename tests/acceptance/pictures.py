#!/usr/bin/env python3
"""pictures.py MBUSHAT [--home-assistant HOST:PORT --token TOKEN] [--node-red HOST:PORT] [--broker HOST:PORT]

Takes the pictures of the book into `docs/src/pictures`: a dashboard of the demo's meters in a Home Assistant, the pages
of three devices there, and the example flow in a Node-RED, both connected to the broker and both to throw away (a dashboard is added
to the one, the flows of the other are replaced). `mbushat run` reads the demo's meters meanwhile. Needs
chromium, and pngquant to make the pictures small; else standard library only."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

from browser import Browser, read, until
from ha_api import HomeAssistant

HERE = os.path.dirname(os.path.abspath(__file__))
METERS = {"heat_meter": ("Heat meter", 5), "cold_water": ("Cold water", 7), "warm_water": ("Warm water", 8),
          "electricity": ("Electricity", 20)}

# the pages of devices, by their names
DEVICES = {"Sub-meter": "device-electricity.png", "Heat meter": "device-heat.png", "mbushat": "device-agent.png"}


class Camera(Browser):
    """A browser whose pictures go into the book."""

    def __init__(self, folder, width, height):
        super().__init__(folder)
        self.size(width, height)

    def open(self, url, seconds):
        self("Page.navigate", url=url)
        time.sleep(seconds)

    def take(self, name):
        file = os.path.join(HERE, "../../docs/src/pictures", name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        self.picture(file)
        subprocess.run(["pngquant", "--force", "--output", file, "--speed", "1", "128", file], check=True)
        print(f"{os.path.normpath(file)}: {os.path.getsize(file) // 1000} kB")


def start_agent(folder):
    host, port = args.broker.split(":")
    text = f'[mqtt]\nurl = "mqtt://{host}:{port}"\n[store]\ndirectory = "{folder}/store"\n'
    with open(os.path.join(folder, "bus.toml"), "w", encoding="utf-8") as bus:
        bus.write(read(os.path.join(HERE, "../../config/simulated-bus.toml")) + '[[meter]]\nmodel = "eastron_sdm220"\naddress = 1\n')
    text += f'[[bus]]\nname = "demo"\nport = "sim:{folder}/bus.toml"\n'
    for name, (title, address) in {**METERS, "sub_meter": ("Sub-meter", 1)}.items():
        text += f'[[meter]]\nname = "{name}"\ntitle = "{title}"\naddress = {address}\ninterval = "10s"\n'
    with open(os.path.join(folder, "mbushat.toml"), "w", encoding="utf-8") as file:
        file.write(text)
    return subprocess.Popen([args.mbushat, "run", "--config", file.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# ---------------------------------------------------------------- Home Assistant
def dashboard(ha):
    """The values of each meter and what reads it on a card of its own, and two graphs."""
    devices = {device["id"]: device["name"] for device in ha.devices().values()}
    of = {title: {} for title, _ in METERS.values()}
    for entity in sorted(ha.entities().values(), key=lambda entity: entity["entity_category"] or ""):
        title = devices.get(entity["device_id"])
        wanted = entity["entity_category"] is None or entity["original_name"] in ("Last read", "Read now")
        if title in of and entity["disabled_by"] is None and wanted:
            of[title][entity["original_name"]] = entity["entity_id"]
    cards = [{"type": "entities", "title": title, "entities": [{"entity": id, "name": name} for name, id in names.items()]}
             for title, names in of.items()]
    graph = lambda title, *entities: {"type": "history-graph", "title": title, "hours_to_show": args.minutes / 60,
                                      "entities": [{"entity": of[meter][name], "name": label} for meter, name, label in entities]}
    graphs = [graph("Heating", ("Heat meter", "Flow temperature", "Flow"), ("Heat meter", "Return temperature", "Return")),
              graph("Power", ("Heat meter", "Power", "Heat"), ("Electricity", "Power", "Electricity"))]
    columns = [[cards[0], graphs[0]], [cards[3], graphs[1]], [cards[1], cards[2]]]
    return {"title": "Meters", "views": [{"title": "Meters", "type": "sections", "max_columns": 3, "sections": [
        {"type": "grid", "cards": [{**card, "grid_options": {"columns": 12}} for card in column]} for column in columns]}]}


def home_assistant(folder):
    ha = HomeAssistant(args.home_assistant, args.token)
    titles = {title for title, _ in METERS.values()}
    until("Home Assistant has the meters", lambda: titles <= {device["name"] for device in ha.devices().values()}, 60)
    print(f"waiting {args.minutes} minutes for something to see", flush=True)
    time.sleep(60 * args.minutes)
    if not any(board["url_path"] == "mbus-meters" for board in ha("lovelace/dashboards/list")):
        ha("lovelace/dashboards/create", url_path="mbus-meters", title="Meters", mode="storage", icon="mdi:gauge")
    ha("lovelace/config/save", url_path="mbus-meters", config=dashboard(ha))
    browser = Camera(folder, 1560, 960)
    try:
        url = f"http://{args.home_assistant}"
        token = {"access_token": args.token, "token_type": "Bearer", "expires_in": 10**9, "hassUrl": url, "clientId": f"{url}/",
                 "expires": 10**15, "refresh_token": ""}
        browser.open(f"{url}/manifest.json", 2)
        browser.run(f"localStorage.setItem('hassTokens', JSON.stringify({json.dumps(token)}))")
        browser.open(f"{url}/mbus-meters/0", 1)
        until("the dashboard is there", lambda: browser.run("document.getElementById('ha-launch-screen') === null"), 60)
        time.sleep(15)
        browser.take("home-assistant.png")
        browser.size(1100, 1000)
        for name, file in DEVICES.items():
            device = next(device["id"] for device in ha.devices().values() if device["name"] == name)
            browser.open(f"{url}/config/devices/device/{device}", 20)
            browser.take(file)
    finally:
        browser.close()


# ---------------------------------------------------------------- Node-RED
def node_red(folder):
    flow = json.loads(read(os.path.join(HERE, "../../config/node-red-flow.json")))
    for node in flow:
        if node["type"] == "mqtt-broker":
            node["broker"], node["port"] = args.broker.split(":")
    request = urllib.request.Request(f"http://{args.node_red}/flows", json.dumps(flow).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=20).read()
    browser = Camera(folder, 1480, 760)
    try:
        browser.open(f"http://{args.node_red}/", 8)
        browser.run("RED.sidebar.show('debug'); RED.menu.setSelected('menu-item-palette', false)")
        time.sleep(25)
        seen = browser.run("document.querySelectorAll('.red-ui-debug-msg').length")
        if not seen:
            sys.exit("FAIL: the flow shows no message")
        browser.take("node-red.png")
    finally:
        browser.close()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("mbushat")
parser.add_argument("--broker", default="127.0.0.1:1883", help="host:port of the broker, without a password")
parser.add_argument("--home-assistant", help="host:port")
parser.add_argument("--token", help="a long-lived access token")
parser.add_argument("--node-red", help="host:port")
parser.add_argument("--minutes", type=float, default=10, help="of history in the dashboard's graphs")
args = parser.parse_args()
with tempfile.TemporaryDirectory(prefix="mbushat-pictures-", ignore_cleanup_errors=True) as temporary:
    agent = start_agent(temporary)
    try:
        for wanted, take in [(args.node_red, node_red), (args.home_assistant, home_assistant)]:
            if wanted:
                with tempfile.TemporaryDirectory(dir=temporary, ignore_cleanup_errors=True) as own:
                    take(own)
    finally:
        agent.terminate()
        agent.wait(30)
