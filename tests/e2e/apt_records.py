#!/usr/bin/env python3
"""JSON lines for `cairn import` from what this Debian machine knows of packages.

    apt_records.py OUTPUT [LEAST]

One line {"topic": ..., "text": ...} for each package that `apt-cache dumpavail` lists. Where that
gives fewer than LEAST (50000) different lines, a seeded set takes their place. The last line on
stderr says which of the two it is: "real COUNT" or "made COUNT".
"""

import json
import random
import subprocess
import sys

FIELDS = ("Package", "Version", "Section", "Maintainer", "Homepage", "Description")
WORDS = "stone path tool boat shed attic saw rope lamp field sensor battery key door ladder".split()
SEED = 7


def packages():
    """Yields the fields of every package, one dict each."""
    try:
        dump = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return
    for paragraph in dump.decode("utf-8", "replace").split("\n\n"):
        fields = {}
        for line in paragraph.split("\n"):
            name, colon, value = line.partition(": ")
            if colon and not name.startswith(" "):
                fields[name] = value
        if "Package" in fields:
            yield fields


def real():
    """Yields a line for every package."""
    for fields in packages():
        kept = [f"{name}: {fields[name]}" for name in FIELDS if name in fields]
        topic = "package." + fields.get("Section", "none").replace("/", ".")
        yield json.dumps({"topic": topic, "text": "\n".join(kept)})


def made(count):
    """Yields as many lines from a fixed seed."""
    chance = random.Random(SEED)
    for number in range(count):
        text = " ".join(chance.choices(WORDS, k=chance.randint(4, 60)))
        yield json.dumps({"topic": f"made.{number % 20}", "text": f"{number}: {text}"})


def main():
    output = sys.argv[1]
    least = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000
    lines = list(dict.fromkeys(real()))
    kind = "real"
    if len(lines) < least:
        print(f"apt-cache knows only {len(lines)} packages; using a seeded set", file=sys.stderr)
        kind, lines = "made", list(made(least))
    with open(output, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    print(f"{kind} {len(lines)}", file=sys.stderr)


if __name__ == "__main__":
    main()
