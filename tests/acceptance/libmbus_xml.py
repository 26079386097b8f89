#!/usr/bin/env python3
"""Compares `mbushat decode --format xml` with the XML of libmbus.

    tests/acceptance/libmbus_xml.py target/release/mbushat FOLDER [MBUS_PARSE_HEX]

FOLDER is the `test` folder of libmbus (github.com/rscada/libmbus): each X.hex that has an X.xml is a
pair. With MBUS_PARSE_HEX, libmbus' own program of that name, each X.hex without an X.xml and each
file of tests/telegrams is compared with what that prints.

Prints every pair that differs with the reason, then the counts; exit code 1 where a difference has no
known reason.
"""

import pathlib
import re
import subprocess
import sys
import tempfile


# What no single line shows.
BY_NAME = {
    "lvar_0": "numbers of variable length have the length of EN 13757-3 table 5, not twice that",
    "inverse_compact_profile_0": "a series of values is shown as bytes, not as a text",
    "profiles_of_two_directions_0": "a series of values is shown as bytes, not as a text",
    "register_profile_0": "a series of values is shown as bytes, not as a text",
}


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    mbushat, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    files = sorted(folder.rglob("*.hex"))
    pairs = [(file, file.with_suffix(".xml")) for file in files]
    stored = [(file, xml.read_bytes()) for file, xml in pairs if xml.exists()]
    if not stored:
        sys.exit(f"no pairs of .hex and .xml below {folder}")
    unexplained = report("libmbus' test suite", mbushat, stored)
    if len(sys.argv) == 4:
        with tempfile.TemporaryDirectory() as scratch:
            ours = own_telegrams(pathlib.Path(scratch))
            others = [file for file, xml in pairs if not xml.exists()] + ours
            unexplained += report("what mbus_parse_hex prints", mbushat, printed(sys.argv[3], others))
    sys.exit(1 if unexplained else 0)


def own_telegrams(scratch):
    """The telegrams of our own tests, one a file, as libmbus wants them."""
    files = []
    folder = pathlib.Path(__file__).parent.parent / "telegrams"
    for file in sorted(folder.glob("*.txt")):
        lines = [line.split("#")[0].strip() for line in file.read_text().splitlines()]
        hexes = [line for line in lines if re.fullmatch(r"([0-9A-Fa-f]{2}\s*)+", line)]
        for number, line in enumerate(hexes):
            copy = scratch / f"{file.stem}_{number}.hex"
            copy.write_text(" ".join(re.findall("..", line.replace(" ", ""))) + "\n")
            files.append(copy)
    return files


def printed(program, files):
    """What libmbus prints of each file; those it cannot decode are left out."""
    for file in files:
        run = subprocess.run([program, str(file)], capture_output=True)
        if run.returncode == 0:
            yield file, run.stdout


def report(title, mbushat, pairs):
    equal, different, unexplained = 0, {}, 0
    for file, want in pairs:
        run = subprocess.run([mbushat, "decode", "--format", "xml", str(file)], capture_output=True)
        got = run.stdout
        if got == want:
            equal += 1
            continue
        known = BY_NAME.get(file.stem)
        reasons = {known} if known else reasons_of(want.decode("utf-8", "replace"), got.decode())
        for reason in reasons:
            different.setdefault(reason, []).append(file.stem)
        if "not known" in reasons:
            unexplained += 1
            print(f"{file}: {run.stderr.decode().strip()}")
            show(want.decode("utf-8", "replace"), got.decode())
    total = equal + len({name for names in different.values() for name in names})
    print(f"{title}: {total} pairs, {equal} equal")
    for reason, names in sorted(different.items()):
        print(f"  {len(names):3} differ: {reason}: {', '.join(names)}")
    return unexplained


def reasons_of(want, got):
    """Why the two differ, line by line."""
    wanted, gotten = want.splitlines(), got.splitlines()
    if len(wanted) != len(gotten):
        return {"not known"}
    return {reason(a, b) for a, b in zip(wanted, gotten) if a != b}


def reason(want, got):
    value = re.compile(r"\s*<(\w+)>(.*)</\1>$")
    a, b = value.match(want), value.match(got)
    if not a or not b or a[1] != b[1]:
        return "not known"
    decoded = re.sub(r"&#(\d+);", lambda code: chr(int(code[1])), b[2])
    if decoded == a[2] and not a[2].isascii():
        return "text outside ASCII as a character reference"
    if re.fullmatch(r"1900-01-00(T00:00:00)?", a[2]) and b[2] == "":
        return "a date marked invalid is empty"
    if re.match(r"\d{4}-\d\d-\d\d", a[2]) and b[2] == "":
        return "a date that is not a day of the calendar, or comes again, is empty"
    if re.match(r"20\d\d-", a[2]) and b[2] == "19" + a[2][2:]:
        return "a year of two digits from 81 on is of the last century"
    if re.fullmatch(r"-?\d+", a[2]) and b[2] == "":
        return "BCD with digits beyond 9 is empty"
    if re.fullmatch(r"\d+", a[2]) and re.match(r"\d\d(\d\d-\d\d-\d\d|:\d\d:\d\d$)", b[2]):
        return "a date or a time is not a number"
    if a[2] == "nan" and b[2] == "":
        return "a real number that is none is empty"
    if re.fullmatch(r"([0-9A-F]{2} ?)*", a[2]) and a[2].split() == b[2].split()[::-1]:
        return "manufacturer's data stands in the order of the wire"
    if {a[2], b[2]} == {"MJ", "100 kJ"}:
        return "MJ and 100 kJ of fixed data are not exchanged"
    return "not known"


def show(want, got):
    wanted, gotten = want.splitlines(), got.splitlines()
    for a, b in zip(wanted, gotten):
        if a != b:
            print(f"  - {a}\n  + {b}")
    for line in wanted[len(gotten):][:6]:
        print(f"  - {line}")
    for line in gotten[len(wanted):][:6]:
        print(f"  + {line}")


if __name__ == "__main__":
    main()
