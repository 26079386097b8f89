#!/usr/bin/env python3
"""test-links.py: every file that the README and the pages of the manual link to exists, with the heading
that is meant, and the package has it at the same place. Exits 1 with the links that would be dead."""
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


def links_of(page):
    """Of a page: (link, file, heading), those to other sites and in code left out."""
    text = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", read(page))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?://", link):
            file, _, heading = link.partition("#")
            yield link, os.path.normpath(os.path.join(os.path.dirname(page), file)) if file else page, heading


def is_good(file, heading):
    return packed.get(file) == file and (not heading or heading in headings(read(file)))


with open("Cargo.toml", "rb") as f:
    assets = tomllib.load(f)["package"]["metadata"]["deb"]["assets"]
packed = {os.path.join(to.removeprefix(DOC), os.path.basename(file)): file
          for source, to, _ in assets if to.startswith(DOC) for file in glob.glob(source) if os.path.isfile(file)}

pages = ["README.md", *sorted(page for page in packed if page.startswith("docs/") and page.endswith(".md"))]
links = [(page, *link) for page in pages for link in links_of(page)]
dead = [(page, link) for page, link, file, heading in links if not is_good(file, heading)]
if len(links) < 100 or dead:
    sys.exit(f"dead in the package: {dead} of {len(links)}")
print(f"{len(links)} links of {len(pages)} pages, all good in the package")
