#!/usr/bin/env python3
"""test-links.py: every file that the README links to exists, with the heading that is meant, and the
package has it at the same place beside its README. Exits 1 with the links that would be dead."""
import glob
import os
import re
import sys
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOC = "usr/share/doc/mbushat/"
os.chdir(ROOT)

def read(file):
    with open(file, encoding="utf-8") as f:
        return f.read()


def headings(text):
    return {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}


def is_good(link):
    file, _, heading = link.partition("#")
    there = not file or packed.get(file) == file
    return there and (not heading or heading in headings(read(file) if file else text))


text = read("README.md")
links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not re.match(r"https?://", link)]
with open("Cargo.toml", "rb") as f:
    assets = tomllib.load(f)["package"]["metadata"]["deb"]["assets"]
packed = {os.path.join(to.removeprefix(DOC), os.path.basename(file)): file
          for source, to, _ in assets if to.startswith(DOC) for file in glob.glob(source)}

dead = [link for link in links if not is_good(link)]
if len(links) < 5 or dead:
    sys.exit(f"dead in the package: {dead} of {links}")
print(f"{len(links)} links, all good in the package")
