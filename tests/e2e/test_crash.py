"""Host or engine killed at random moments of saves and restores: nothing that was promised is lost.

After each death the VM must run again, out of its saved state where the guest had not run since, else
by a cold boot, and say which. Its file system must be whole after the journal's replay, and hold every
file the guest had synced.
"""
import os
import signal
import time

from lab.ext4 import check
from lab.proc import children
from lab.wait import BOOT, SOON, gone


class Torture:
    def __init__(self, vm, rng):
        self.vm, self.rng = vm, rng
        self.host, self.boot_id = None, None
        self.files = 0
        self.took = {"save": 1.0, "restore": 1.0}  # seconds, as measured last

    # The guest's promises

    def write(self):
        """A few numbered files, each acknowledged on the console once it is synced."""
        for _ in range(3):
            self.vm.sh(f"echo {self.files} >/data/f{self.files} && sync")
            self.files += 1

    def check_files(self):
        held = self.vm.sh("cd /data && for f in f*; do echo $f $(cat $f); done").splitlines()
        assert {f"f{n} {n}" for n in range(self.files)} <= set(held), "synced files are gone"

    # Runs

    def start(self):
        """Host in the foreground until the agent is ready; how it booted."""
        begin = time.monotonic()
        self.host = self.vm.host()
        self.vm.until_ready(self.host)
        status = self.vm.status()
        if status["boot"] == "resumed":
            self.took["restore"] = time.monotonic() - begin
        boot_id = self.vm.boot_id()
        same, self.boot_id = boot_id == self.boot_id, boot_id
        assert (status["boot"] == "resumed") == same, f"it says {status['boot']}, same guest: {same}"
        return status

    def save(self):
        begin = time.monotonic()
        self.vm.let_go()
        self.host.interrupt()
        assert self.host.wait(BOOT) == 0
        self.took["save"] = time.monotonic() - begin
        assert self.vm.status()["saved"] is True

    def kill_at_random(self, phase, victim):
        """Kills Host or its engine somewhere in the phase; whether the phase was over before. Both are
        gone when this returns."""
        if self.host.ends_within(self.rng.uniform(0, 1.1 * self.took[phase])):
            return True
        engines = children(self.host.pid)
        try:
            os.kill(engines[0] if victim == "engine" and engines else self.host.pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended just now
            self.host.signal(signal.SIGKILL)
        self.host.wait(BOOT)
        for engine in engines:
            assert gone(engine, SOON), "the engine outlived its Host"
        return False

    # Rounds

    def die_while_saving(self, victim):
        self.vm.let_go()
        self.host.interrupt()
        over = self.kill_at_random("save", victim)
        saved = self.vm.status()["saved"]
        if over:
            assert self.host.wait() == 0 and saved
        check(self.vm.dir / "Disk.img")
        self.come_back(saved, f"{victim} killed while saving")

    def die_while_restoring(self, victim):
        self.save()
        disk = self.vm.dir / "Disk.img"
        before = disk.stat().st_mtime_ns
        self.host = self.vm.host()
        self.kill_at_random("restore", victim)
        # Without a word of running and with the disk untouched the guest did nothing anybody saw.
        never_ran = "state: running" not in self.host.err and disk.stat().st_mtime_ns == before
        saved = self.vm.status()["saved"]
        check(disk)
        self.come_back(saved or never_ran, f"{victim} killed while restoring")

    def come_back(self, must_resume, what):
        status = self.start()
        if must_resume:
            assert status["boot"] == "resumed", f"{what}: a good saved state was not used: {status}"
        if status["boot"] == "cold":
            assert "cold boot" in status["note"], f"{what}: it does not say that it booted cold"
        self.check_files()


def test_death_at_random_moments(tm, server, rng, count):
    vm = tm.vm("a").create()
    torture = Torture(vm, rng)
    torture.start()
    torture.write()
    torture.save()
    torture.start()
    outcomes = []
    for n in range(count(6, 500)):
        torture.write()
        phase, victim = rng.choice(("saving", "restoring")), rng.choice(("host", "engine"))
        print(f"round {n}: {victim} dies while {phase}")
        getattr(torture, f"die_while_{phase}")(victim)
        outcomes.append(vm.status()["boot"])
    print("outcomes:", {kind: outcomes.count(kind) for kind in set(outcomes)})
