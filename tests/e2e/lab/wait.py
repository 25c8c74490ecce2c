"""Deadlines. Generous: guests are emulated, and two busy cores are shared by all of them."""
import os
import select
import time

SOON = 30    # what needs no guest
BOOT = 120   # what waits for a guest to boot, resume or act


def eventually(ask, timeout=SOON, what="the condition"):
    """The first true answer of ask(), which is asked again as long as the deadline allows. For
    conditions that no event tells of; where there is one, wait for the event."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s; the last answer was {answer!r}")
        select.select([], [], [], 0.05)


def gone(pid, timeout):
    """Whether a process, ours or not, ends within the timeout."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout)[0])
    finally:
        os.close(fd)
