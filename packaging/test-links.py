#!/usr/bin/env python3
"""test-links.py: every file that the README links to exists, and the package has it at the same place
beside its README. Exits 1 with the links that would be dead."""
import glob
import os
import re
import sys
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOC = "usr/share/doc/mbushat/"
os.chdir(ROOT)

with open("README.md", encoding="utf-8") as f:
    text = f.read()
headings = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not re.match(r"https?://", link)]
with open("Cargo.toml", "rb") as f:
    assets = tomllib.load(f)["package"]["metadata"]["deb"]["assets"]
packed = {os.path.join(to.removeprefix(DOC), os.path.basename(file)): file
          for source, to, _ in assets if to.startswith(DOC) for file in glob.glob(source)}

dead = [link for link in links if link.startswith("#") and link[1:] not in headings]
dead += [link for link in links if not link.startswith("#") and packed.get(link) != link]
if len(links) < 5 or dead:
    sys.exit(f"dead in the package: {dead} of {links}")
print(f"{len(links)} links, all good in the package")
