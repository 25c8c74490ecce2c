"""Kept forks: `clone` of a fork makes a VM that goes on where the fork was, and the fork goes on, too."""
import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from lab.proc import children
from lab.wait import BOOT, SOON, eventually, gone
from test_at_rest import grow_old, half_made
from test_fork import Base, base, run  # noqa: F401

WORK = ("mkdir /run/own && mount -t tmpfs none /run/own && echo memory >/run/own/file && "
        "echo disk >/data/own && { (n=0; while sleep 0.1; do n=$((n+1)); echo $n >/run/own/new; "
        "mv /run/own/new /run/own/n; done) </dev/null >/dev/null 2>&1 & }")


def count(vm):
    return int(run(vm, "cat /run/own/n"))


@pytest.fixture
def fork(base):  # noqa: F811
    """A fork with a file on its disk, one in its memory, and a process that counts."""
    (vm,) = base.forks()
    run(vm, WORK)
    eventually(lambda: run(vm, "cat /run/own/n 2>/dev/null || echo 0") not in ("", "0"))
    return vm


def keep(fork, name, *args):  # noqa: F811
    new = fork.tm.vm(name)
    fork.tm.run("clone", "--id", fork.id, "--target-id", new.id, *args)
    return new


def goes_on(vm, since):
    eventually(lambda: count(vm) > since, BOOT, "the counter to go on")


def has_its_work(vm):
    assert run(vm, "cat /run/own/file /data/own /data/base") == "memory\ndisk\nof-the-base"


def test_a_kept_fork_goes_on_and_so_does_the_fork(base, fork):  # noqa: F811
    began, before = time.monotonic(), count(fork)
    new = keep(fork, "new")
    assert fork.state == "running"
    assert new.status()["saved"]
    base.is_intact()
    goes_on(fork, before)
    run(fork, "echo later >/data/later; sync")
    new.start()
    assert new.status()["boot"] == "resumed"
    assert new.nic()["mac"] == fork.nic()["mac"] == new.config["mac"]
    assert before <= count(new) <= before + 10 * (time.monotonic() - began) + 1
    goes_on(new, count(new))
    has_its_work(new)
    assert run(new, "hostname; ls /data") == f"{fork.id}\nbase\nlost+found\nown"
    fork.halt()
    assert not base.runtime()
    base.is_intact()
    new.stop()
    new.start()
    has_its_work(new)


def test_two_are_kept_of_a_fork_and_one_of_a_kept_one(base, fork):  # noqa: F811
    one = keep(fork, "one", "--sync")
    run(fork, "echo changed >/data/own; echo changed >/run/own/file")
    two = keep(fork, "two", "--fresh-identity")
    fork.halt()
    assert two.config["mac"] != one.config["mac"]
    two.start()
    assert run(two, "cat /run/own/file /data/own") == "changed\nchanged"
    assert run(two, "cat /sys/class/net/eth0/address") == two.config["mac"]
    (again,) = Base.forks(Kept(one))
    has_its_work(again)
    three = keep(again, "three")
    again.halt()
    one.delete()
    base.vm.delete()
    three.start()
    has_its_work(three)


class Kept:
    def __init__(self, vm):
        self.tm, self.vm = vm.tm, vm

    def fork(self, *args):
        return self.tm.json("fork", "--id", self.vm.id, *args)


def test_a_fork_with_a_vsock_device_is_kept(base):  # noqa: F811
    (fork,) = base.forks("--vsock")
    run(fork, WORK)
    new = keep(fork, "new")
    has_its_work(fork)
    new.start()
    has_its_work(new)
    assert new.status()["vsock"]["cid"] == 3
    eventually(lambda: fork.status()["agent"]["ready"])
    again = keep(fork, "again")
    again.start()
    has_its_work(again)


def test_a_paused_fork_stays_paused(fork):
    fork.tm.run("pause", "--id", fork.id)
    new = keep(fork, "new")
    assert fork.state == "paused"
    new.start()
    has_its_work(new)
    fork.tm.run("resume", "--id", fork.id)
    has_its_work(fork)


@pytest.fixture
def nat_fork(base):  # noqa: F811
    base.vm.start("--nat-nic")
    base.vm.stop()
    (vm,) = base.forks()
    return vm


def let_in(vm):
    """By the NAT's port, as status tells it."""
    socket.create_connection(("127.0.0.1", vm.status()["ssh_port"]), timeout=SOON).close()


def test_the_nat_of_a_kept_fork_lets_in_by_the_port_it_has_now(nat_fork):
    let_in(nat_fork)
    keep(nat_fork, "new")
    let_in(nat_fork)


def test_a_nat_that_could_not_come_back_does_with_the_next_resume(nat_fork):
    fork = nat_fork
    fork.tm.run("pause", "--id", fork.id)
    keep(fork, "new")
    status = fork.status()
    assert "ssh_port" not in status
    engine, kind = status["engine_pid"], resource.RLIMIT_NOFILE
    limits = resource.prlimit(engine, kind)
    resource.prlimit(engine, kind, (3, limits[1]))  # no socket for it
    fork.tm.fail(1, "resume", "--id", fork.id)
    assert fork.state == "paused"
    resource.prlimit(engine, kind, limits)
    fork.tm.run("resume", "--id", fork.id)
    assert fork.state == "running"
    let_in(fork)


def test_what_cannot_be_kept_is_refused(base):  # noqa: F811
    (held,) = base.forks("--hold")
    tm, new = base.tm, base.tm.vm("new")
    words = ("clone", "--id", held.id, "--target-id")
    assert "is held" in tm.fail(5, *words, new.id)
    assert "linked" in tm.fail(2, *words, new.id, "--linked")
    assert "exists already" in tm.fail(4, *words, base.vm.id)
    tm.run("resume", "--id", held.id)
    run(held, "true")
    assert keep(held, "new").status()["saved"]
    base.is_intact()


def keeping(fork):  # noqa: F811
    """A `clone` of the fork that is under way, and the Host's children: its engine and the twin."""
    pid, engine = fork.status()["pid"], fork.status()["engine_pid"]
    clone = fork.tm.spawn("clone", "--id", fork.id, "--target-id", fork.tm.vm("new").id)

    def twin():
        for child in set(children(pid)) - {engine}:
            with contextlib.suppress(FileNotFoundError):  # another child, which has ended
                if Path(f"/proc/{child}/comm").read_text().startswith("qemu-system"):
                    return child
        return None
    return clone, eventually(twin, what="a second engine")


def nothing_is_left(fork):  # noqa: F811
    grow_old(fork.tm.world)
    assert fork.tm.vm("new").id not in fork.tm.ids()
    eventually(lambda: fork.tm.ids() and not half_made(fork.tm.world), what="no hidden directory")


def as_before(fork):  # noqa: F811
    eventually(lambda: fork.state == "running" and fork.status()["agent"]["ready"])
    goes_on(fork, count(fork))
    has_its_work(fork)
    nothing_is_left(fork)
    new = keep(fork, "new")
    new.start()
    has_its_work(new)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_clone_that_is_cut_off_leaves_nothing(fork, how):
    clone, _ = keeping(fork)
    clone.signal(how)
    assert clone.wait() in (130, -how)
    as_before(fork)


def test_a_killed_twin_leaves_the_fork_as_it_was(fork):
    clone, twin = keeping(fork)
    os.kill(twin, signal.SIGKILL)
    assert clone.wait() == 1
    as_before(fork)


def test_a_killed_host_is_told_of(base, fork):  # noqa: F811
    pid = fork.status()["pid"]
    clone, twin = keeping(fork)
    os.kill(pid, signal.SIGKILL)
    assert clone.wait() == 1
    assert gone(twin, SOON)
    eventually(lambda: fork.id not in fork.tm.ids())
    nothing_is_left(base.vm)
    base.is_intact()


def test_a_halt_comes_first(base, fork):  # noqa: F811
    clone, twin = keeping(fork)
    fork.halt()
    assert clone.wait() == 1
    assert gone(twin, SOON)
    nothing_is_left(base.vm)
    base.has_no_forks()


def test_a_full_disk_leaves_the_fork_as_it_was(confined, server, saved):
    tm = confined("600m")
    full = Base(tm, saved)
    ram = full.vm.dir / "SaveFile.vzvmsave" / "ram.img"
    subprocess.run(["cp", "--sparse=never", ram, f"{ram}.whole"], check=True)
    os.rename(f"{ram}.whole", ram)  # holes of a full tmpfs cannot even be read
    (vm,) = full.forks()
    run(vm, WORK + "; sync")
    kernel = sum((full.vm.dir / name).stat().st_size for name in ("Kernel", "Initrd"))
    for room in (1 << 20, kernel + (256 << 10), kernel + (8 << 20)):  # no kernel, no disk, no memory
        ballast = tm.place.fill(leave=room)
        done = tm.run("clone", "--id", vm.id, "--target-id", "never", check=False)
        assert done.returncode in (1, 8) and "No space left" in done.stderr
        tm.place.run("rm", ballast)
        eventually(lambda: vm.state == "running" and vm.status()["agent"]["ready"])
        has_its_work(vm)
    assert sorted(tm.ids()) == sorted([full.vm.id, vm.id])
    vm.halt()
