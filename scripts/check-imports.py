#!/usr/bin/python3
"""Imports go one way: what each room of src/ may include, checked against what it does."""

import re
import sys
from pathlib import Path

# A room, and the rooms or headers it may include beside its own. The longest name that fits counts.
MAY = {
    "base": [],
    "proto": ["base"],
    "tree": ["base"],
    "agent": ["base", "tree"],
    "vm": ["base"],
    "image": ["base"],
    "engine": ["base", "proto", "vm"],
    "host": ["base", "proto", "vm", "image", "agent", "engine/engine.h"],
    "cli": ["base", "proto", "vm", "image", "agent", "tree", "engine/engine.h"],
    "vnet": ["base"],
    "vnet/daemon": ["base", "proto", "vnet"],
    "vnet/labfile": ["base", "vnet"],
    "vnet/capture": ["base", "proto", "vnet"],
    "vnet/plug": ["base", "proto"],
    "vnet/egress": ["base", "proto", "vnet"],
}
# System headers a room must do without: it gets these things passed in.
NEVER = {
    "vnet": r"event2/|sys/socket\.h|time\.h|sys/time\.h",
    "host": r"hw/|qapi/|Virtualization/",
}


def room_of(path, rooms):
    """The longest of the rooms that a path under src/ lies in, or None."""
    fits = [room for room in rooms if path == room or path.startswith(room + "/")]
    return max(fits, key=len, default=None)


def complaints(path, src):
    own = path.relative_to(src).as_posix()
    room = room_of(own, MAY)
    if room is None:
        yield 1, "lies in no room that scripts/check-imports.py knows"
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        ours = re.match(r'\s*#\s*(?:include|import)\s*"(.*)"', line)
        system = re.match(r"\s*#\s*(?:include|import)\s*<(.*)>", line)
        if ours and not (src / ours[1]).is_file():
            yield number, f'"{ours[1]}" is no path from src/'
        elif ours and room_of(ours[1], MAY) != room and not room_of(ours[1], MAY[room]):
            yield number, f'{room} may not include "{ours[1]}"'
        elif system and re.match(NEVER.get(room, "$"), system[1]):
            yield number, f"{room} may not include <{system[1]}>"


def main():
    src = Path(__file__).resolve().parent.parent / "src"
    bad = [f"src/{path.relative_to(src)}:{number}: {what}"
           for path in sorted(src.glob("**/*.[chm]")) for number, what in complaints(path, src)]
    print("\n".join(bad))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
