#!/usr/bin/python3
"""Runs clang-tidy on every file that is compiled and has changed since it last passed.

    run-clang-tidy.py BUILD JOBS

A file has changed when it, a header of ours that it includes, its compile command, the checks or
the tool are different.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def said(argv, cwd=None):
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, errors="replace")


def fingerprint(entry, common):
    """What the result depends on, as one hash."""
    command = shlex.split(entry["command"])
    for option in "-o", "-MF", "-MQ":
        at = command.index(option)
        del command[at:at + 2]
    listed = said([c for c in command if c not in ("-MD", "-c")] + ["-MM"], entry["directory"])
    digest = hashlib.sha256(common + entry["command"].encode())
    for name in listed.stdout.replace("\\\n", " ").split()[1:]:
        digest.update((Path(entry["directory"]) / name).read_bytes())
    return digest.hexdigest() if listed.returncode == 0 else None


def main():
    build, jobs = Path(sys.argv[1]), int(sys.argv[2])
    top = Path(__file__).resolve().parent.parent
    memory = build / "clang-tidy.passed"
    passed = set(memory.read_text().split()) if memory.exists() else set()
    common = (top / ".clang-tidy").read_bytes() + said(["clang-tidy", "--version"]).stdout.encode()
    # A file may be compiled twice, for two programs: once is enough here.
    entries = {e["file"]: e for e in json.loads((build / "compile_commands.json").read_text())}

    def check(entry):
        key = fingerprint(entry, common)
        if key in passed:
            return key, "", False
        path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        result = said(["clang-tidy", "--quiet", "-p", str(build), path])
        return (None, result.stdout, True) if result.returncode else (key, "", True)

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(check, entries.values()))
    memory.write_text("\n".join(key for key, _, _ in results if key) + "\n")
    print("".join(dict.fromkeys(output for _, output, _ in results)), end="")
    print(f"{len(results)} files, {sum(fresh for _, _, fresh in results)} of them changed")
    sys.exit(any(key is None for key, _, _ in results))


if __name__ == "__main__":
    main()
