#!/usr/bin/env python3
"""copyright.py OWN [FROM=TO] < METADATA: the package's copyright file, in Debian's machine-readable form.

OWN is the file of the project itself; a paragraph for each crate that is linked into the program
follows, and the text of each licence once. METADATA is what `cargo metadata --filter-platform
TARGET` prints; FROM=TO replaces the start of its paths, where cargo ran elsewhere.
Of a choice of licences MIT is taken, else one whose text Debian has. Fails where a crate's terms are not known."""
import json
import os
import re
import sys

NOTICE = re.compile(r"(?i)^\W*(copyright|\(c\)|©)\s.*(\d{4}|©|\(c\)|by |authors|contributors|developers)")
TITLE = re.compile(r"(?i)^\W*(the )?(mit|isc|bsd)[\w\s-]*licen[cs]e\W*(\(.*\))?\W*$")
# crates that ship no text of theirs: Debian has it, for every package
COMMON = {"Apache-2.0": "On Debian systems the text of this license is in\n/usr/share/common-licenses/Apache-2.0.",
          "MPL-2.0": "On Debian systems the text of this license is in\n/usr/share/common-licenses/MPL-2.0."}
APACHE = re.compile(r"\n *Apache License\s+Version 2\.0.*?END OF TERMS AND CONDITIONS", re.DOTALL)


def linked(metadata):
    """The crates of the program: what only builds or expands macros is not in it."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root, found = metadata["resolve"]["root"], set()
    todo = [root]
    while todo:
        crate = todo.pop()
        if crate in found or any("proc-macro" in target["kind"] for target in packages[crate]["targets"]):
            continue
        found.add(crate)
        todo += [d["pkg"] for d in nodes[crate]["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"])]
    return sorted((packages[crate] for crate in found - {root}), key=lambda p: (p["name"], p["version"]))


def texts(folder):
    """The licence files of a crate, by name."""
    names = sorted(f for f in os.listdir(folder) if re.match(r"(?i)(licen[cs]e|copying|notice|copyright|unlicense)", f))
    files = {}
    for name in names:
        if os.path.isfile(os.path.join(folder, name)):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                files[name] = f.read().replace("\f", "")
    return files


def terms(package, folder, mit):
    """(short name, text) of the licence that is taken: the crate's own words, where it has some."""
    files, wants = texts(folder), package["license"] or ""
    choices = re.split(r" OR |/", wants)
    if "MIT" in choices:
        for text in files.values():
            if "Permission is hereby granted" in text and "Apache License" not in text:
                return "MIT", text
        return "MIT", mit
    for choice in choices:
        if choice in COMMON:
            notice = "".join(text for name, text in files.items() if name.upper().startswith("NOTICE"))
            return choice, COMMON[choice] + ("\n\n" + notice if notice else "")
    if not wants or not files:
        sys.exit(f"copyright.py: {package['name']} {package['version']} does not tell its terms ({wants or 'no license'})")
    # Debian's policy asks for the long Apache text named, not repeated
    text = APACHE.sub(lambda _: "\n" + COMMON["Apache-2.0"], "\n\n".join(files.values()))
    return wants.replace(" AND ", " and "), text


def split(text):
    """Copyright notices, and the rest without the licence's title."""
    notices, rest = [], []
    for line in text.splitlines():
        line = re.sub(r"^// ?", "", line)  # some repeat the head of their sources
        (notices if NOTICE.match(line) else rest).append(line.strip() if NOTICE.match(line) else line.rstrip())
    while rest and (not rest[0].strip() or TITLE.match(rest[0])):
        rest.pop(0)
    return notices, "\n".join(rest).strip()


def indented(text):
    return "\n".join(f" {line.rstrip()}" if line.strip() else " ." for line in text.splitlines())


def own_mit(own):
    body = own.split("\nLicense: MIT\n", 1)[1].split("\n\n", 1)[0]
    return "\n".join("" if line == " ." else line[1:] for line in body.splitlines())


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        own = f.read()
    was, _, now = (sys.argv[2] if len(sys.argv) > 2 else "=").partition("=")
    mit = own_mit(own)
    bodies = {("MIT", " ".join(mit.split())): "MIT", **{(name, " ".join(t.split())): name for name, t in COMMON.items()}}
    paragraphs, licences = [], ["License: MPL-2.0\n" + indented(COMMON["MPL-2.0"])]
    for package in linked(json.load(sys.stdin)):
        folder = os.path.dirname(package["manifest_path"])
        folder = now + folder[len(was):] if was and folder.startswith(was) else folder
        name, text = terms(package, folder, mit)
        notices, body = split(text)
        short = bodies.get((name, " ".join(body.split())))
        if short is None:
            same = sum(of == name for of, _ in bodies)
            short = name if same == 0 else f"{name}~{same + 1}"
            bodies[name, " ".join(body.split())] = short
            licences.append(f"License: {short}\n{indented(body)}")
        notices = [re.sub(r"(?i)^copyright\s+", "", notice) for notice in notices]
        holders = notices or package["authors"] or [f"the authors of {package['name']}"]
        crate = f"{package['name']}-{package['version']}"
        paragraphs.append(f"Files: {crate}/*\nCopyright: " + "\n           ".join(dict.fromkeys(holders)) +
                          f"\nLicense: {short}\nComment: linked into the program; its source is\n"
                          f" https://crates.io/crates/{package['name']}/{package['version']}")
    print("\n\n".join([own.rstrip(), *paragraphs, *licences]))


main()
