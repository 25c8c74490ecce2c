#!/usr/bin/python3
"""Golden tests: runs every tests/golden/**/NAME.sh and compares what it says with NAME.out.

    golden.py [--update] [NAME.sh...]

A test is a shell script that runs in an empty directory, which is also HOME and TAILMAC_HOME, with
our programs first in PATH and its own directory in $GOLDEN. NAME.out holds its standard output and
standard error together, then `exit: N` when N is not 0. --update writes NAME.out anew.
"""

import difflib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


def output_of(script):
    with tempfile.TemporaryDirectory(prefix="golden-") as empty:
        env = {
            "PATH": f"{TOP / os.environ.get('BIN', 'bin')}:{os.environ['PATH']}",
            "HOME": empty,
            "TAILMAC_HOME": empty,
            "XDG_RUNTIME_DIR": empty,
            "GOLDEN": str(script.parent),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        try:
            done = subprocess.run(["sh", str(script)], cwd=empty, env=env, timeout=60,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace")
        except subprocess.TimeoutExpired:
            return "ended after 60 s\n"
        said = done.stdout.replace(empty, "$HOME")
        return said + (f"exit: {done.returncode}\n" if done.returncode else "")


def main():
    update = "--update" in sys.argv
    named = [Path(name).resolve() for name in sys.argv[1:] if name != "--update"]
    failed = False
    for script in named or sorted(TOP.glob("tests/golden/**/*.sh")):
        name = script.relative_to(TOP / "tests/golden").with_suffix("")
        expected = script.with_suffix(".out")
        want = expected.read_text() if expected.exists() else ""
        got = output_of(script)
        if update and got != want:
            expected.write_text(got)
            print(f"wrote {expected.relative_to(TOP)}")
        elif got == want:
            print(f"ok - {name}")
        else:
            failed = True
            print("".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True),
                                               expected.name, "now")), end="")
            print(f"not ok - {name}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
