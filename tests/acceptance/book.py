#!/usr/bin/env python3
"""book.py MBUSHAT MDBOOK: builds the book of docs/, follows every link inside it, and tries every code block.

- `toml` is checked by `mbushat check`, with what a fragment leaves out; `json` by the schema that the comment above it
  names (`<!-- schema: reading -->`); `yaml` is parsed.
- `sh` is run, and must end well; of `console` the output must be what is printed (`…` is anything). There is a mosquitto,
  an agent that reads simulated meters, and `sudo` does nothing. What is asked over MQTT must be answered with `ok`.
- A comment `<!-- not tested: why -->` excepts a block; its syntax is looked at all the same. `text` is no code.

Prints how many were tested, and which were not. Needs jsonschema, PyYAML, mosquitto, jq and curl."""
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.parse

import jsonschema
import referencing
import yaml

import broker_lab as lab
from mqtt_client import Client

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
SRC = f"{ROOT}/docs/src"
failures = []


def fail(where, what):
    failures.append(where)
    print(f"FAIL {where}: {what}", flush=True)


# --- links

class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), []
        with open(path, encoding="utf-8") as file:
            self.feed(file.read())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]


def follow_links(book):
    pages, count, used = {}, 0, set()
    for folder, _, files in os.walk(book):
        pages |= {os.path.join(folder, name): Page(os.path.join(folder, name)) for name in files
                  if name.endswith(".html") and name not in ("404.html", "print.html", "toc.html")}
    for path, page in pages.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(path), urllib.parse.unquote(url.path))) if url.path else path
            count += 1
            used.add(target)
            if not os.path.exists(target):
                fail(os.path.relpath(path, book), f"{link} leads nowhere")
            elif url.fragment and target in pages and urllib.parse.unquote(url.fragment) not in pages[target].ids:
                fail(os.path.relpath(path, book), f"{link}: there is no such heading")
    for name in os.listdir(f"{SRC}/pictures"):
        if f"{book}/pictures/{name}" not in used:
            fail(name, "no page shows this picture")
    return len(pages), count


# --- blocks

class Block:
    def __init__(self, where, kind, comment, text):
        self.where, self.kind, self.text = where, kind, text
        self.excuse = comment.partition("not tested: ")[2]
        self.schema = comment.partition("schema: ")[2]


def blocks_of(path):
    name, comment, block = os.path.relpath(path, SRC), "", None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if block and line.strip() == "```":
                yield block
                block = None
            elif block:
                block.text += line
            elif line.startswith("```"):
                block, comment = Block(f"{name}:{number}", line[3:].strip(), comment, ""), ""
            elif match := re.fullmatch(r"<!-- (.*) -->\s*", line):
                comment = match[1]
            elif line.strip():
                comment = ""


def chapters():
    with open(f"{SRC}/SUMMARY.md", encoding="utf-8") as file:
        listed = re.findall(r"\(([\w/.-]+\.md)\)", file.read())
    there = {os.path.relpath(os.path.join(folder, name), SRC) for folder, _, names in os.walk(SRC) for name in names if name.endswith(".md")}
    for name in there - set(listed) - {"SUMMARY.md"}:
        fail(name, "SUMMARY.md does not list it")
    return [f"{SRC}/{name}" for name in listed]


# --- toml

# what each table needs, and what only with another setting
FILLED = {"bus": {"name": '"hat"'}, "meter": {"name": '"m{n}"', "address": "{n}"}, "profile": {"name": '"p{n}"', "title": '"P"', "manufacturer": '"KAM"'},
          "record": {"quantity": '"volume"', "key": '"k{n}"'}}
NEEDED_BY = {"password_file": 'username = "u"', "ca_file": 'url = "mqtts://localhost"'}
# what stands in for what is missing
INSTEAD = {"address": {"secondary"}, "quantity": {"storage", "tariff", "subunit", "function", "index", "dif", "vif", "bytes"},
           "key": {"hide", "unit", "title", "precision", "device_class", "enabled", "expose", "quantity"}, "manufacturer": {"version", "medium"}}


def completed(text):
    """A fragment with what each of its tables needs besides."""
    parts = re.split(r"(?m)^(?=\[)", text)
    if re.match(r"\[\[(meter|profile)\.record\]\]", next((part for part in parts if part.startswith("[")), "")):
        parts.insert(1, f"[[{'meter' if '[[meter.' in text else 'profile'}]]\n")
    result = []
    for number, part in enumerate(parts, 1):
        if match := re.match(r"\[\[(?:\w+\.)?(\w+)\]\]", part):
            has = set(re.findall(r"(?m)^(\w+) = ", part))
            lines = [f"{key} = {value.format(n=number)}\n" for key, value in FILLED[match[1]].items() if key not in has and not INSTEAD.get(key, set()) & has]
        elif part.startswith("[mqtt]"):
            lines = [f"{line}\n" for key, line in NEEDED_BY.items() if f"\n{key} = " in part and f"\n{line.split()[0]} = " not in part]
        else:
            lines = []
        if lines:
            head, _, rest = part.partition("\n")
            part = f"{head}\n{''.join(lines)}{rest}"
        result.append(part)
    return "".join(result)


def real_files(text):
    """Files of /etc that a block names are made, with what belongs into them."""
    for path in set(re.findall(r'"(/etc/[^"]+)"', text)):
        content = "000102030405060708090A0B0C0D0E0F" if "cold_water" in path else "secret"
        if path.endswith((".pem", ".key")) and "cold_water" not in path:
            content = pem(path)
        text = text.replace(f'"{path}"', json.dumps(lab.write(path.lstrip("/"), content)))
    return text


def pem(path):
    key, cert = f"{lab.lab}/k.pem", f"{lab.lab}/c.pem"
    if not os.path.exists(key):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=book", "-days", "9",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
    with open(key if "key" in path else cert, encoding="utf-8") as file:
        return file.read()


def check_toml(program, block):
    if block.excuse:
        tomllib.loads(block.text)
        return
    path = lab.write("check/mbushat.toml", real_files(completed(block.text)))
    os.chmod(path, 0o640)
    done = subprocess.run([program, "check", path], capture_output=True, text=True, env=os.environ | {"HOSTNAME": "house7"})
    if done.returncode:
        fail(block.where, f"check ends with {done.returncode}\n{done.stderr}\n{completed(block.text)}")


# --- json and yaml

def registry():
    schemas = []
    for name in os.listdir(f"{SRC}/schema"):
        with open(f"{SRC}/schema/{name}", encoding="utf-8") as file:
            schemas.append(json.load(file))
    return referencing.Registry().with_resources([(s["$id"], referencing.Resource.from_contents(s)) for s in schemas])


def check_json(schemas, block):
    value = json.loads(block.text)
    if not block.schema:
        fail(block.where, "no comment names its schema")
        return
    name, _, part = block.schema.partition("#")
    check = jsonschema.Draft202012Validator({"$ref": f"urn:mbushat:schema:{name}#{part}"}, registry=schemas)
    for error in check.iter_errors(value):
        fail(block.where, f"{error.message} at {list(error.absolute_path)}")


# --- commands

def telegram(address, ident, maker, medium, records):
    number = sum((ord(c) - 64) << shift for c, shift in zip(maker, (10, 5, 0)))
    body = bytes([8, address, 0x72]) + bytes.fromhex(ident)[::-1] + number.to_bytes(2, "little") + bytes([1, medium, 1, 0, 0, 0]) + bytes.fromhex(records)
    return (bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 255, 0x16])).hex()


class House:
    """A broker, an agent with simulated meters, and programs that find them where the book's commands look."""

    def __init__(self, program):
        self.port, self.page = lab.free_port(), lab.free_port()
        broker = lab.write("mosquitto.conf", f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n" + ("user root\n" if os.geteuid() == 0 else ""))
        lab.start("mosquitto", [shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or sys.exit("mosquitto is missing"), "-c", broker])
        lab.until("mosquitto listens", 20, lambda: lab.answers(self.port))
        self.config = self.configure()
        self.programs(program)
        self.client = Client(self.port, ["mbushat/#"])
        lab.until("subscribed", 10, lambda: self.client.up_since)
        self.agent = lab.start("agent", [program, "run", "--config", self.config], env=os.environ | {"NO_COLOR": "1"})
        lab.until("two meters are adopted", 120, lambda: {"kam_67200512", "sen_21880341"} <= {m[1].split("/")[1] for m in self.client.of("/state")})

    def configure(self):
        heat = telegram(5, "67200512", "KAM", 4, "0C0600000500" + "0C1455000000")
        water = telegram(7, "21880341", "SEN", 7, "0C1355000000")
        bus = lab.write("sim.toml", f'[[meter]]\nmodel = "ats_ec20"\naddress = 48\n[[meter]]\ntelegrams = ["{heat}"]\naddress = 5\n'
                        f'[[meter]]\ntelegrams = ["{water}"]\naddress = 7\n')
        config = lab.write("house/mbushat.toml", f'[mqtt]\nurl = "mqtt://127.0.0.1:{self.port}"\n[http]\nlisten = "127.0.0.1:{self.page}"\n'
                           f'[store]\ndirectory = "{lab.lab}/store"\n[[bus]]\nname = "hat"\nport = "sim:{bus}"\ndiscover = true\nresponse_timeout = "60ms"\n'
                           'retries = 0\n[[meter]]\nname = "cold_water"\naddress = 48\ninterval = "10s"\n')
        os.chmod(config, 0o640)
        return config

    def programs(self, program):
        at = f"-h 127.0.0.1 -p {self.port}"
        for name, line in {"sudo": 'exec "$@"', "mbushat": f'exec {program} --config {self.config} "$@"',
                           # one message, unless the command says how long it waits: that ends with 27
                           "mosquitto_sub": f'case " $* " in *" -W "*) {shutil.which("mosquitto_sub")} {at} "$@" || [ $? = 27 ] ;;\n'
                                            f'*) exec {shutil.which("mosquitto_sub")} {at} -W 30 "$@" -C 1 ;; esac',
                           "mosquitto_pub": f'exec {shutil.which("mosquitto_pub")} {at} "$@"'}.items():
            os.chmod(lab.write(f"bin/{name}", f"#!/bin/sh\n{line}\n"), 0o755)

    def run(self, script):
        script = script.replace("localhost:6287", f"localhost:{self.page}").replace("/tmp/", f"{lab.lab}/tmp/")
        os.makedirs(f"{lab.lab}/tmp", exist_ok=True)
        env = os.environ | {"PATH": f"{lab.lab}/bin:{os.environ['PATH']}", "NO_COLOR": "1"}
        return subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                              cwd=f"{lab.lab}/tmp", env=env, timeout=300, check=False)

    def sh(self, block):
        before = len(self.client.of("", 0))
        done = self.run(f"set -e -o pipefail\n{block.text}")
        if done.returncode:
            fail(block.where, f"exit code {done.returncode}\n{done.stdout[-3000:]}")
        asked = re.findall(r"bridge/request/(\w+)", block.text)
        answers = lambda: [m for m in list(self.client.messages)[before:] if re.search(r"/response/(\w+)$", m[1]) and m[1].rsplit("/", 1)[1] in asked]
        lab.until(f"{block.where}: {asked} are answered", 120, lambda: len(answers()) >= len(asked))
        for _, topic, _, payload in answers():
            if json.loads(payload)["status"] != "ok":
                fail(block.where, f"{topic}: {payload.decode()}")

    def console(self, block):
        mark = "~~~ the next command"
        parts = re.split(r"(?m)^\$ (.*)\n", block.text)[1:]
        commands, outputs = parts[::2], parts[1::2]
        keep = f"mark() {{ local code=$?; echo '{mark}'; return $code; }}\n"
        done = self.run(keep + "".join(f"mark\n{command}\n" for command in commands))
        for command, expected, got in zip(commands, outputs, done.stdout.split(f"{mark}\n")[1:]):
            pattern = "".join("(.*\n)*" if line == "…\n" else ".*".join(map(re.escape, line.split("…"))) for line in expected.splitlines(True))
            if not re.fullmatch(pattern, got):
                fail(block.where, f"$ {command}\nprints\n{got}in place of\n{expected}")


# --- all of it

def try_block(program, house, schemas, block):
    if block.kind in ("sh", "console") and block.excuse:
        script = block.text if block.kind == "sh" else "".join(re.findall(r"(?m)^\$ (.*\n)", block.text))
        done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
        if done.returncode:
            fail(block.where, done.stderr)
    elif block.kind == "sh":
        house.sh(block)
    elif block.kind == "console":
        house.console(block)
    elif block.kind == "toml":
        check_toml(program, block)
    elif block.kind == "json":
        check_json(schemas, block)
    elif block.kind == "yaml":
        yaml.safe_load(block.text)
    elif not block.excuse:
        fail(block.where, f"what is {block.kind or 'this block'}? Say why it is not tested, or call it text")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, mdbook = map(os.path.abspath, sys.argv[1:])
    book = f"{lab.lab}/book"
    done = subprocess.run([mdbook, "build", f"{ROOT}/docs", "-d", book], capture_output=True, text=True, check=False)
    if done.returncode or re.search(r"WARN|ERROR", done.stderr):
        sys.exit(f"FAIL: mdbook\n{done.stderr}")
    pages, links = follow_links(book)
    print(f"{pages} pages, {links} links inside the book")
    house, schemas = House(program), registry()
    blocks = [block for path in chapters() for block in blocks_of(path) if block.kind != "text"]
    for block in blocks:
        try:
            try_block(program, house, schemas, block)
        except (ValueError, yaml.YAMLError, subprocess.TimeoutExpired) as error:
            fail(block.where, error)
    excused = [block for block in blocks if block.excuse]
    for block in excused:
        print(f"not tested: {block.where} ({block.kind}): {block.excuse}")
    print(f"{len(blocks) - len(excused)} code blocks tested of {len(blocks)}")
    print(f"{len(failures)} not as written" if failures else "PASS")
    return bool(failures)


try:
    code = main()
finally:
    lab.stop_all()
sys.exit(code)
