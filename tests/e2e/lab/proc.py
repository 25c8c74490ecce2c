"""A long-running child whose lines are awaited: Host in the foreground, `run --tail`, `logs -f`."""
import contextlib
import os
import re
import select
import signal
import subprocess
import time
from pathlib import Path

from .wait import SOON


def children(pid):
    """Pids of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def resident(pid):
    """How much memory a process uses, in bytes,"""
    return memory(pid, "VmRSS")


def claimed(pid):
    """and how much it may write to, used or not."""
    return memory(pid, "VmData")


def memory(pid, key):
    return int(re.search(rf"^{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)[1]) << 10


def descriptors(pid):
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


class Proc:
    """Both outputs are read whenever something is awaited, so a chatty child never blocks on them
    for long; what came is in .out and .err. close() ends and reaps the child, whatever happened."""

    def __init__(self, argv, env=None, cwd=None):
        self.argv = [str(arg) for arg in argv]
        self.child = subprocess.Popen(self.argv, env=env, cwd=cwd, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = {self.child.stdout: "", self.child.stderr: ""}
        self.open = set(self.text)
        self.end = os.pidfd_open(self.child.pid)
        self.seen = 0  # how much of .out line() and expect() have consumed

    @property
    def pid(self):
        return self.child.pid

    @property
    def out(self):
        return self.text[self.child.stdout]

    @property
    def err(self):
        return self.text[self.child.stderr]

    def fail(self, what):
        raise AssertionError(f"{' '.join(self.argv)}: {what}\nstdout: {self.out}\nstderr: {self.err}")

    def pump(self, deadline, ended=False):
        """Reads what is there; False once the deadline is past, or nothing more can come. With
        `ended` the child's end counts as an event too."""
        watch = list(self.open) + ([self.end] if ended else [])
        if not watch:
            return False
        ready = select.select(watch, [], [], max(deadline - time.monotonic(), 0))[0]
        for stream in self.open.intersection(ready):
            data = os.read(stream.fileno(), 65536)
            self.text[stream] += data.decode(errors="replace")
            if not data:
                self.open.discard(stream)
        return bool(ready) and not (ended and self.end in ready)

    def line(self, timeout=SOON):
        """The next line of standard output, without its newline."""
        start = self.seen
        self.seen = self.until(lambda: self.out.find("\n", start) + 1, "whole line", timeout)
        return self.out[start:self.seen - 1]

    def expect(self, pattern, timeout=SOON):
        """The next match in standard output."""
        regex = re.compile(pattern)
        found = self.until(lambda: regex.search(self.out, self.seen), repr(pattern), timeout)
        self.seen = found.end()
        return found

    def until(self, find, what, timeout):
        deadline = time.monotonic() + timeout
        while True:
            found = find()
            if found:
                return found
            if not self.pump(deadline):
                self.fail(f"no {what} in its output within {timeout} s")

    def say(self, text):
        self.child.stdin.write(text.encode())
        self.child.stdin.flush()

    def signal(self, number):
        self.child.send_signal(number)

    def interrupt(self):
        self.signal(signal.SIGINT)

    def ends_within(self, timeout):
        """Whether the child ends in that time; reads its output meanwhile."""
        deadline = time.monotonic() + timeout
        while self.child.poll() is None:
            if not self.pump(deadline, ended=True) and time.monotonic() >= deadline:
                return self.child.poll() is not None
        return True

    def wait(self, timeout=SOON):
        """Its exit code (negative: the signal), all its output read."""
        if not self.ends_within(timeout):
            self.fail(f"still runs after {timeout} s")
        rest = time.monotonic() + 1  # a grandchild may hold the pipe open
        while self.open and self.pump(rest):
            pass
        self.close()
        return self.child.returncode

    def close(self):
        self.open.clear()
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, *self.text):
            with contextlib.suppress(BrokenPipeError):  # what it never read
                stream.close()
        if self.end is not None:
            os.close(self.end)
            self.end = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
