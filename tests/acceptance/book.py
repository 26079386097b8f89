#!/usr/bin/env python3
"""book.py MBUSHAT MDBOOK: builds the book of docs/, follows every link inside it, and tries every code block.

- `toml` is checked by `mbushat check`, with what a fragment leaves out; `json` by the schema that the comment above it
  names (`<!-- schema: reading -->`); `yaml` is parsed.
- `sh` is run, and must end well; of `console` the output must be what is printed (`…` is anything). There is a mosquitto,
  an agent that reads simulated meters, a device tree with the Hat, and `sudo` does nothing. What is asked over MQTT must be answered with `ok`.
- A comment `<!-- not tested: why -->` excepts a block; its syntax is looked at all the same. `text` is not code.

Prints how many were tested, and which were not. Needs jsonschema, PyYAML, mosquitto, jq and curl."""
import html.parser
import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.parse

import yaml

import broker_lab as lab
from book_house import House
from book_toml import completed, real_files
from schema_files import validator

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


# --- each of them

def check_toml(program, block):
    if block.excuse:
        tomllib.loads(block.text)
        return
    path = lab.write("check/mbushat.toml", real_files(completed(block.text)))
    os.chmod(path, 0o640)
    done = subprocess.run([program, "check", path], capture_output=True, text=True, env=os.environ | {"HOSTNAME": "house7"})
    if done.returncode:
        fail(block.where, f"check ends with {done.returncode}\n{done.stderr}\n{completed(block.text)}")


def check_json(block):
    value = json.loads(block.text)
    if not block.schema:
        fail(block.where, "no comment names its schema")
        return
    for error in validator(block.schema).iter_errors(value):
        fail(block.where, f"{error.message} at {list(error.absolute_path)}")


def try_block(program, house, block):
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
        check_json(block)
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
    house = House(program, fail)
    blocks = [block for path in chapters() for block in blocks_of(path) if block.kind != "text"]
    for block in blocks:
        try:
            try_block(program, house, block)
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
