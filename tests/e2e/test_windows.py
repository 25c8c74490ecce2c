"""Host killed at its first, second, third … call of each system call that changes files or talks,
while it resumes a VM and while it saves one: every window between two steps is hit, none by luck.

After each death the VM must run again, out of its saved state where its guest had not run since, else
by a cold boot that says why.
"""
import subprocess
import time

import pytest

from lab import strace
from lab.ext4 import check
from lab.wait import BOOT, eventually

# The long form: one after another until the phase is over.
CALLS = ("renameat", "fsync", "unlinkat", "mkdirat", "sendmsg", "write", "openat", "close")
THREADS = {"run": ("unlinkat",), "held": ("unlinkat",),  # what other threads do, too
           "stop": ("pwrite64", "ftruncate", "fsync")}
MOST = 60
# The short form: before and after the steps that decide what the next run does.
FEW = {"run": {"renameat": (2, 3), "fsync": (1,), "unlinkat": (1, 2)},
       "held": {"renameat": (3,), "unlinkat": (2,)},
       "stop": {"renameat": (2, 3), "fsync": (2, 3), "unlinkat": (2,)}}

RUNNING, READY = "state: running", "agent: ready"  # says Host
LOOP = "(while :; do date >>/data/x; sync; done) & echo $!"


class Saved:
    """A saved VM whose guest writes all the time; its copies are used up."""

    def __init__(self, vm):
        self.vm = vm
        self.boot_id = self.vm.boot_id()
        self.loop = self.vm.sh(LOOP).splitlines()[-1]
        self.vm.stop()
        self.written = self.touched(self.vm)

    @staticmethod
    def touched(vm):
        return (vm.dir / "Disk.img").stat().st_mtime_ns

    def copy(self, name):
        """With all times, and as sparse."""
        other = self.vm.tm.vm(name)
        subprocess.run(["cp", "-a", self.vm.dir, other.dir], check=True)
        return other

    def overtaken(self, copy):
        """Whether the copy's disk was written since."""
        return self.touched(copy) != self.written

    def is_guest_of(self, copy):
        same = copy.boot_id() == self.boot_id
        assert not same or copy.shell().run(f"kill -0 {self.loop}")[0] == 0, "its process is gone"
        return same


class Death:
    """That of one copy's Host, at one call."""

    def __init__(self, saved, vm, call):
        self.saved, self.vm, self.call = saved, vm, call

    # Each phase: whether it was over before

    def run(self):
        host = strace.host(self.vm, self.call)
        if self.says(host, READY):
            self.order("halt")
        host.wait(BOOT)
        if self.vm.at_rest() == "halted":
            return True
        self.come_back_to_run(host)
        return False

    def held(self):
        """A run whose Host stands at the call until its guest, if it runs, has overtaken the state."""
        host = strace.host(self.vm, self.call, strace.HOLD)
        held = self.says(host, strace.HELD, READY) == strace.HELD
        if held and RUNNING in host.err:
            eventually(lambda: self.saved.overtaken(self.vm), what="a write of the guest")
        strace.kill(host)
        host.wait(BOOT)
        self.vm.at_rest()
        if held:
            self.come_back_to_run(host)
        return not held

    def stop(self):
        host = strace.host_to_be(self.vm)
        self.vm.until_ready(host)
        strace.attach(host, self.call)
        stop = self.order("stop")
        host.wait(BOOT)
        self.vm.at_rest()
        saved = self.vm.status()["saved"]
        carried_out = stop.returncode == 0 and "was not running" not in stop.stdout
        assert saved or not carried_out, f"nothing is saved, but stop said: {stop.stdout}"
        self.come_back(must_resume=saved, must_boot=not saved)
        return carried_out

    # Their parts

    def order(self, command):
        """A command during which Host may die."""
        return self.vm.tm.run(command, "--id", self.vm.id, check=False)

    @staticmethod
    def says(host, *words):
        """The first of these that it says; None where it ended instead."""
        deadline = time.monotonic() + BOOT
        while True:
            said = next((word for word in words if word in host.err), None)
            if said or not host.pump(deadline, ended=True):
                return said

    def come_back_to_run(self, host):
        wrote = self.saved.overtaken(self.vm)
        saved = self.vm.status()["saved"]
        assert not (wrote and saved), "its disk was written, and the saved state is still offered"
        never_ran = RUNNING not in host.err and not wrote
        self.come_back(must_resume=saved or never_ran, must_boot=wrote)

    def come_back(self, must_resume, must_boot):
        check(self.vm.dir / "Disk.img")
        self.vm.start()
        status = self.vm.status()
        print(f"killed at {self.call}: {status['boot']}, {status['note']}")
        resumed = status["boot"] == "resumed"
        assert resumed or not must_resume, f"a good saved state was not used: {status}"
        assert not (resumed and must_boot), f"the saved state of a guest that ran was used: {status}"
        assert resumed or "cold boot" in (status["note"] or ""), f"it does not say why: {status}"
        assert resumed == self.saved.is_guest_of(self.vm), f"that is not how its guest began: {status}"
        eventually(lambda: not list(self.vm.dir.glob(".SaveFile*")), what="the end of old states")
        self.vm.halt()
        check(self.vm.dir / "Disk.img")


def sweep(saved, phase, calls):
    """Dies at one call after the other until the phase is over; for each death a complaint or None."""
    deaths = []
    for call in calls:
        vm = saved.copy(f"{phase}-{call.name}-{call.n}{'-t' if call.threads else ''}")
        try:
            over = getattr(Death(saved, vm, call), phase)()
        except AssertionError as why:
            deaths.append(f"killed at {call}: {why}")
            vm.let_go()
            continue
        vm.delete()
        if over:
            print(f"over before {call}")
            break
        deaths.append(None)
    return deaths


@pytest.mark.parametrize("phase", ("run", "held", "stop"))
def test_killed_at_every_system_call(vm, count, phase):
    every = range(1, MOST + 1)
    plan = count([(name, numbers, False) for name, numbers in FEW[phase].items()],
                 [(name, every, False) for name in CALLS]
                 + [(name, every, True) for name in THREADS[phase]])
    saved = Saved(vm)
    deaths = {(name, threads): sweep(saved, phase, [strace.Call(name, n, threads) for n in numbers])
              for name, numbers, threads in plan}
    complaints = [why for some in deaths.values() for why in some if why]
    assert not complaints, "\n".join(complaints)
    assert all(deaths[name, False] for name in FEW[phase]), "strace killed nobody"
