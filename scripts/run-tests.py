#!/usr/bin/python3
"""Runs the named parts of the tests, shows what failed, and ends with the count alone on a line.

    run-tests.py PART...      of build, image, lint, unit, fuzz, golden, e2e

From the environment: BUILD and BIN (directories), JOBS, PYTEST_ARGS, FUZZ_SECONDS (search for new
inputs that long, instead of only replaying the known ones), E2E_SECONDS (a limit for all of e2e).
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which

TOP = Path(__file__).resolve().parent.parent
BUILD = os.environ.get("BUILD") or "build"
BIN = os.environ.get("BIN") or "bin"
JOBS = int(os.environ.get("JOBS") or os.cpu_count())
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS") or 0)
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def run(argv, env=None, timeout=None, show=False):
    """Runs a command to its end or the timeout, with its children: (exit code, output)."""
    child = subprocess.Popen(argv, cwd=TOP, env={**os.environ, **(env or {})},
                             stdin=subprocess.DEVNULL, stdout=None if show else subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace",
                             start_new_session=True)
    try:
        output, _ = child.communicate(timeout=timeout)
        return child.returncode, output or ""
    except subprocess.TimeoutExpired:
        output = end(child)
        return -1, f"{output}\nended after {timeout} s\n"
    except BaseException:
        end(child)
        raise


def end(child):
    """Asks a command and its children to stop, and makes them; what they said."""
    for sig, grace in (signal.SIGINT, 30), (signal.SIGKILL, 10):
        try:
            os.killpg(child.pid, sig)
            return child.communicate(timeout=grace)[0] or ""
        except ProcessLookupError:
            return ""
        except subprocess.TimeoutExpired:
            pass
    return ""


def tap_count(output, code):
    """Counts test results. A program that fails or says nothing without naming a test is one."""
    count = Counter()
    for line in output.splitlines():
        result = re.match(r"\s*(not )?ok\b(.*)", line)
        if result and re.search(r"#\s*skip", result[2], re.IGNORECASE):
            count["skipped"] += 1
        elif result:
            count["failed" if result[1] else "passed"] += 1
    if (code != 0 and not count["failed"]) or not count.total():
        count["failed"] += 1
    return count


def report(name, count, output=""):
    """Says how a part went; its output only where something failed."""
    if count["failed"] and output:
        print(f"\n--- {name}\n{output.rstrip()}\n---", flush=True)
    said = ", ".join(f"{count[k]} {k}" for k in ("passed", "failed", "skipped") if count[k])
    print(f"{name}: {said or 'nothing there'}", flush=True)
    return count


def prepare(name, argv, env=None):
    """Makes what the tests need: an empty count, or the failure as one."""
    code, output = run(argv, env)
    return report(name, Counter(failed=1), output) if code else Counter()


def build(directory, options, env=None):
    return prepare(f"build {directory}", ["scripts/build.sh", directory, "--", *options], env)


def build_sanitized():
    options = ["-Dwerror=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
               "-Dc_args=-fno-sanitize-recover=undefined"]
    if has_libfuzzer():
        return build(f"{BUILD}-asan", [*options, "-Dlibfuzzer=true"], {"CC": "clang"})
    return build(f"{BUILD}-asan", options)


def has_libfuzzer():
    if not which("clang"):
        return False
    program = "int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n < 0; }"
    return subprocess.run(["clang", "-fsanitize=fuzzer,address", "-xc", "-", "-o", "/dev/null"],
                          input=program, text=True, stderr=subprocess.DEVNULL).returncode == 0


def tests_of(directory, suite):
    tests = json.loads(run(["meson", "introspect", "--tests", directory])[1])
    return [test for test in tests if any(s.split(":")[-1] == suite for s in test["suite"])]


def run_meson_tests(directory, suite):
    """Runs the tests of a suite, several at once."""
    def one(test):
        env = {**SANITIZERS, **test["env"]}
        code, output = run(test["cmd"], env, timeout=test["timeout"])
        if test["protocol"] == "tap":
            return test["name"], tap_count(output, code), output
        return test["name"], Counter(["failed" if code else "passed"]), output

    total, shown = Counter(), ""
    with ThreadPoolExecutor(JOBS) as pool:
        for name, count, output in pool.map(one, tests_of(directory, suite)):
            total += count
            if count["failed"]:
                shown += f"{name}:\n{output}\n"
    return report(f"{suite} ({directory})", total, shown)


def part_build():
    return prepare("build", ["scripts/build.sh", BUILD, BIN])


def part_image():
    return prepare("image", ["scripts/build-images.sh", f"{BIN}/images"])


def part_lint():
    code, output = run(["scripts/lint.sh"], {"BUILD": BUILD, "JOBS": str(JOBS)})
    return report("lint", tap_count(output, code), output)


def part_unit():
    total = build(f"{BUILD}-test", ["-Dwerror=true"]) or run_meson_tests(f"{BUILD}-test", "unit")
    return total + (build_sanitized() or run_meson_tests(f"{BUILD}-asan", "unit"))


def part_fuzz():
    failed = build_sanitized()
    if failed:
        return failed
    replayed = run_meson_tests(f"{BUILD}-asan", "fuzz")
    return replayed + search() if FUZZ_SECONDS else replayed


def search():
    """Lets every fuzz target look for new inputs; they are kept under the build directory."""
    if not has_libfuzzer():
        return report("fuzz search (needs clang with libFuzzer)", Counter(skipped=1))

    def one(test):
        found = TOP / f"{BUILD}-asan" / "found" / test["name"]
        found.mkdir(parents=True, exist_ok=True)
        argv = [test["cmd"][0], f"-max_total_time={FUZZ_SECONDS}", "-print_final_stats=1",
                "-timeout=10", f"-artifact_prefix={found}/", str(found), test["cmd"][-1]]
        code, output = run(argv, SANITIZERS, timeout=FUZZ_SECONDS + 120)
        return test["name"], code, output[-8000:]

    total, shown = Counter(), ""
    with ThreadPoolExecutor(JOBS) as pool:
        for name, code, output in pool.map(one, tests_of(f"{BUILD}-asan", "fuzz")):
            total["failed" if code else "passed"] += 1
            shown += f"{name}:\n{output}\n" if code else ""
    return report(f"fuzz search, {FUZZ_SECONDS} s each", total, shown)


def part_golden():
    code, output = run([sys.executable, "scripts/golden.py"])
    if code == 0 and not output:
        return report("golden", Counter())
    return report("golden", tap_count(output, code), output)


def can_import(python, module):
    return run([python, "-c", f"import {module}"])[0] == 0


def with_pytest():
    """A Python that has pytest: the first in PATH may be one that has not."""
    pythons = [p for p in ("/usr/bin/python3", which("python3"), sys.executable) if p and which(p)]
    return next((p for p in pythons if can_import(p, "pytest")), sys.executable)


def part_e2e():
    if not list(TOP.glob("tests/e2e/**/test_*.py")):
        return report("e2e", Counter())
    results = TOP / BUILD / "e2e.xml"
    results.unlink(missing_ok=True)
    python = with_pytest()
    # xdist gives each of its workers a directory, by default in /tmp, and leaves it there.
    argv = [python, "-m", "pytest", "tests/e2e", "-q", "-rs", f"--junitxml={results}",
            f"--basetemp={results.parent / 'pytest'}"]
    if can_import(python, "xdist"):
        argv += ["-n", str(JOBS)]
    argv += shlex.split(os.environ.get("PYTEST_ARGS", ""))
    limit = int(os.environ.get("E2E_SECONDS") or 0) or None
    code, _ = run(argv, timeout=limit, show=True)
    return report("e2e", junit_count(results, code))


def junit_count(results, code):
    count = Counter()
    if results.exists():
        for case in ElementTree.parse(results).iter("testcase"):
            outcomes = {child.tag for child in case}
            bad, skipped = outcomes & {"failure", "error"}, "skipped" in outcomes
            count["failed" if bad else "skipped" if skipped else "passed"] += 1
    if (code and not count["failed"]) or not count.total():
        count["failed"] += 1
    return count


def main():
    parts = {name[len("part_"):]: part for name, part in globals().items()
             if name.startswith("part_")}
    if not sys.argv[1:] or set(sys.argv[1:]) - set(parts):
        sys.exit(f"usage: run-tests.py {'|'.join(parts)} ...")
    total, started = Counter(), time.monotonic()
    for name in sys.argv[1:]:
        total += parts[name]()
    print(f"\n{time.monotonic() - started:.0f} s")
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"{total['passed']} passed, {total['failed']} failed{skipped}")
    sys.exit(1 if total["failed"] or not total["passed"] else 0)


if __name__ == "__main__":
    main()
