"""What makes a fragment of a configuration, as it stands in the book, one that `mbushat check` takes: for book.py."""
import json
import os
import re
import subprocess

import broker_lab as lab

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
