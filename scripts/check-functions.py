#!/usr/bin/python3
"""Function lengths in src/: none over 100 lines, at most 3 % over 60. Says the median.

A function's body lies between a brace alone at the start of a line and the next closing one there,
which is how clang-format lays it out. Counted are its lines from the name to the closing brace.
"""

import statistics
import sys
from pathlib import Path

MOST, LONG, LONG_SHARE = 100, 60, 0.03


def functions(path):
    """(line, length) of each function of a file."""
    start = None
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, number - start + 2
            start = None


def main():
    top = Path(__file__).resolve().parent.parent
    found = [(length, f"{path.relative_to(top)}:{line}")
             for path in sorted(top.glob("src/**/*.[chm]")) for line, length in functions(path)]
    long = sorted((f for f in found if f[0] > LONG), reverse=True)
    bad = [f"{where}: {length} lines, over {MOST}" for length, where in long if length > MOST]
    if len(long) > LONG_SHARE * len(found):
        bad.append(f"{len(long)} of {len(found)} functions are over {LONG} lines:")
        bad += [f"{where}: {length} lines" for length, where in long]
    for line in bad:
        print(line)
    median = statistics.median(length for length, _ in found) if found else 0
    print(f"{len(found)} functions, median {median:g} lines, {len(long)} over {LONG}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
