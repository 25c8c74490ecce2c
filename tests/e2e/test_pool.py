"""Pools: forks that wait, loaded, for who wants one; each its own once taken, nothing left at the end."""
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import packet
from lab.proc import children, descriptors, resident
from lab.tailmac import Vm
from lab.wait import BOOT, SOON, eventually, gone
from test_fork import Base, are_themselves, distinct, idle_cpu, run


class Pool:
    """A VM's pool, and what is seen of it."""

    def __init__(self, base):
        self.base, self.tm, self.id = base, base.tm, base.vm.id

    def size(self, n, *args):
        return self.tm.json("pool", "--id", self.id, "--size", n, *args)

    def status(self):
        return self.tm.json("pool", "--id", self.id)

    def drain(self):
        return self.tm.json("pool", "--id", self.id, "--drain")

    def full(self):
        """Waits until it is."""
        def is_full():
            now = self.status()
            return now if now["ready"] == now["size"] else None
        return eventually(is_full, BOOT, "a full pool")

    def members(self):
        """Pids of the Hosts in reserve."""
        taken = [vm["pid"] for vm in self.tm.json("ls") if vm.get("fork")]
        return [pid for pid in children(self.status()["pid"]) if pid not in taken]

    def is_gone(self):
        assert self.status() == {"base": self.id, "size": 0, "ready": 0}
        assert not list(self.tm.world.runtime.rglob(".pool-*"))
        self.base.has_no_forks()


@pytest.fixture
def base(tm, server, saved):
    found = Base(tm, saved)
    yield found
    tm.run("pool", "--id", found.vm.id, "--drain", check=False)


@pytest.fixture
def pool(base):
    return Pool(base)


def halt(base, answer):
    for fork in answer["forks"]:
        Vm(base.tm, fork["id"]).halt()


# Taking


def test_forks_out_of_a_pool_are_machines_of_their_own(base, pool, server):
    quiet = server.mark()
    assert pool.size(2)["ready"] == 2
    assert server.mark() == quiet, "a fork in reserve spoke"
    assert base.tm.ids() == [base.vm.id]
    answer = base.fork("--count", 3)
    assert 2 <= answer["pooled"] == sum(fork["pooled"] for fork in answer["forks"])
    assert [fork["id"] for fork in answer["forks"]] == [f"{base.vm.id}-{n}" for n in range(1, 4)]
    macs = distinct((fork["mac"] for fork in answer["forks"]), 3)
    forks = [Vm(base.tm, fork["id"]) for fork in answer["forks"]]
    are_themselves(base.tm, answer["forks"])
    for vm in forks:
        assert "agent: ready" in base.tm.run("logs", "--id", vm.id).stdout
    run(forks[0], "echo own >/data/own; sync")
    assert run(forks[1], "cat /data/base; ls /data | grep -c own || true") == "of-the-base\n0"
    for mac in macs:
        server.wait_from(mac, BOOT, quiet)
    seen = server.frames[quiet:]
    assert {frame.src for frame in seen} <= macs, "frames of the base"
    assert not [frame for frame in seen if frame.ether.kind == packet.ETH_RARP]
    now = pool.full()
    assert (now["size"], now["taken"]) == (2, answer["pooled"])
    pool.drain()
    for vm in forks:  # go on
        assert run(vm, "echo $((6 * 7))") == "42"
        vm.halt()
    pool.is_gone()


def test_what_is_asked_for_is_given_when_it_is_taken(base, pool, server):
    pool.size(2)
    quiet = server.mark()
    answer = base.fork("--count", 2, "--mac-base", "52:cc:cc:cc:01:ff", "--name", f"{base.vm.id}-m",
                       "--group", "g", "--hold")
    assert answer["pooled"] == 2
    assert [fork["mac"] for fork in answer["forks"]] == ["52:cc:cc:cc:01:ff", "52:cc:cc:cc:02:00"]
    assert {fork["state"] for fork in answer["forks"]} == {"paused"}
    assert server.mark() == quiet
    assert len(base.tm.json("release", "--group", "g")["released"]) == 2
    for fork in answer["forks"]:
        server.wait_from(fork["mac"], BOOT, quiet)
        assert fork["id"].startswith(f"{base.vm.id}-m-")
    halt(base, answer)
    pool.drain()
    pool.is_gone()


def test_forks_out_of_a_pool_get_addresses(base, pool):
    """Nothing is left of the identity that they had in reserve."""
    pool.size(2)
    answer = base.fork("--count", 2, "--wait", "ip")
    assert answer["pooled"] == 2
    assert all(fork["addresses"] for fork in answer["forks"])
    for fork in answer["forks"]:
        assert run(Vm(base.tm, fork["id"]), "hostname; cat /sys/class/net/eth0/address") == \
            f"{fork['id']}\n{fork['mac']}"
    halt(base, answer)
    pool.drain()
    pool.is_gone()


def test_the_nat_nic_keeps_its_address(tm, server):
    vm = tm.vm("n").create()
    vm.start(headless=False)
    address = tm.run("ip", "--id", vm.id, "--nic", "nat", "--wait", BOOT).stdout
    vm.stop()
    tm.run("pool", "--id", vm.id, "--size", 1)
    answer = tm.json("fork", "--id", vm.id)
    assert answer["pooled"] == 1
    assert tm.run("ip", "--id", answer["forks"][0]["id"], "--nic", "nat").stdout == address
    Vm(tm, answer["forks"][0]["id"]).halt()
    tm.run("pool", "--id", vm.id, "--drain")


def test_a_guest_that_ends_in_reserve_is_told_of(base, pool):
    base.vm.start()
    base.vm.sh("killall -STOP tailmac-agent; (sleep 8; poweroff -f) </dev/null >/dev/null 2>&1 &")
    base.vm.stop()
    assert "a fork in reserve ended" in base.vm.fail(1, "pool", "--size", 1)
    assert pool.status()["size"] == 0


def test_a_reboot_keeps_the_address(base, pool, server):
    """The engine's device is older than the fork, and has another."""
    pool.size(1)
    answer = base.fork("--macs", "52:cc:cc:cc:03:01")
    assert answer["pooled"] == 1
    vm = Vm(base.tm, answer["forks"][0]["id"])
    quiet = server.mark()
    vm.shell().greet()
    vm.shell().type("reboot\n")
    eventually(lambda: "the guest reboots" in base.tm.run("logs", "--id", vm.id).stdout, BOOT)
    vm.wait("ready")
    assert run(vm, "cat /sys/class/net/eth0/address") == "52:cc:cc:cc:03:01"
    server.wait_from("52:cc:cc:cc:03:01", BOOT, quiet)
    assert {frame.src for frame in server.frames[quiet:]} == {"52:cc:cc:cc:03:01"}
    vm.halt()
    pool.drain()
    pool.is_gone()


def test_a_pool_for_vsock(base, pool):
    pool.size(1, "--vsock")
    assert "vsock" in base.vm.fail(4, "pool", "--size", 1)
    other = base.fork()
    assert other["pooled"] == 0
    answer = base.fork("--vsock")
    assert answer["pooled"] == 1
    vm = Vm(base.tm, answer["forks"][0]["id"])
    eventually(lambda: run(vm, "cat /sys/bus/virtio/devices/*/device | grep -c 0x0013 || true") == "1",
               what="a vsock device")
    halt(base, other)
    halt(base, answer)
    pool.drain()
    pool.is_gone()


def test_tied_forks_out_of_a_pool(base, pool):
    pool.size(1)
    words = " ".join(base.tm.argv("--format", "json", "fork", "--id", base.vm.id, "--tie"))
    caller = subprocess.Popen(["sh", "-c", f"{words} | grep -c pooled.*true; read line"],
                              env=base.tm.world.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    try:
        assert caller.stdout.readline() == "1\n"
        (vm_id,) = base.ids()
        pid = base.tm.json("status", "--id", vm_id)["pid"]
    finally:
        caller.kill()
        caller.wait()
        caller.stdin.close()
        caller.stdout.close()
    assert gone(pid, SOON)
    pool.drain()
    pool.is_gone()


def test_two_callers_share_a_pool(base, pool):
    pool.size(2)
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: base.fork("--count", 2), range(2)))
    assert sum(answer["pooled"] for answer in answers) >= 2
    distinct((fork["id"] for answer in answers for fork in answer["forks"]), 4)
    distinct((fork["pid"] for answer in answers for fork in answer["forks"]), 4)
    for answer in answers:
        halt(base, answer)
    pool.drain()
    pool.is_gone()


def test_many_out_of_a_pool_cost_its_keeper_nothing(base, pool, count):
    pool.size(2)
    keeper = pool.full()["pid"]
    halt(base, base.fork("--count", 2))
    pool.full()
    files, rss = descriptors(keeper), resident(keeper)
    for _ in range(count(3, 250)):
        halt(base, base.fork("--count", 4))
        assert pool.full()["pid"] == keeper
    eventually(lambda: descriptors(keeper) <= files, what=f"{files} descriptors")
    assert resident(keeper) <= rss + (256 << 10)
    pool.drain()
    pool.is_gone()


# Waiting


def test_the_base_is_held_and_nothing_runs(base, pool, count):
    pool.size(2)
    for command in (("run",), ("configure", "--mac", "52:cc:cc:cc:cc:09"), ("delete",)):
        assert "pool" in base.vm.fail(5, *command)
    assert "a pool of 2" in base.tm.run("ls").stdout
    assert base.vm.status()["pool"]["ready"] == 2
    hosts = pool.members()
    everyone = [pool.status()["pid"], *hosts, *(pid for host in hosts for pid in children(host))]
    assert len(everyone) == 5
    eventually(lambda: idle_cpu(everyone, count(1, 20)) <= 0.02, BOOT, "rest after the rehearsals")
    assert pool.size(3)["ready"] == 3
    assert pool.size(1)["ready"] == 1
    assert eventually(lambda: len(pool.members()) == 1, what="the end of two")
    assert base.tm.json("pool", "--id", base.vm.id, "--size", 0) == pool.status()
    assert not base.runtime()
    base.vm.configure("--mac", "52:cc:cc:cc:cc:01")
    base.vm.start()
    assert base.vm.status()["boot"] == "resumed"


# The end


def test_a_keeper_that_is_killed_takes_its_pool_along(base, pool):
    pool.size(2)
    answer = base.fork()
    pool.full()
    keeper, members = pool.status()["pid"], pool.members()
    assert len(members) == 2
    engines = [pid for host in members for pid in children(host)]
    os.kill(keeper, signal.SIGKILL)
    for pid in (keeper, *members, *engines):
        assert gone(pid, SOON)
    vm = Vm(base.tm, answer["forks"][0]["id"])
    assert run(vm, "echo $((6 * 7))") == "42"
    assert pool.status()["size"] == 0
    again = base.fork()
    assert again["pooled"] == 0
    halt(base, answer)
    halt(base, again)
    pool.is_gone()
    assert pool.size(1)["ready"] == 1


def test_a_member_that_is_killed_is_replaced(base, pool):
    pool.size(2)
    one, two = pool.members()
    os.kill(one, signal.SIGKILL)
    (engine,) = children(two)
    os.kill(engine, signal.SIGKILL)
    assert gone(one, SOON) and gone(two, SOON)
    pool.full()
    answer = base.fork("--count", 2)
    halt(base, answer)
    pool.drain()
    pool.is_gone()


def test_a_member_that_is_told_to_end_is_not_taken(base, pool):
    pool.size(2)
    engines = [engine for pid in pool.members() for engine in children(pid)]
    for engine in engines:  # which take a while to end, then
        os.kill(engine, signal.SIGSTOP)
    for pid in pool.members():
        os.kill(pid, signal.SIGTERM)
    answer = base.fork("--count", 2)
    halt(base, answer)
    assert all(gone(engine, BOOT) for engine in engines)
    pool.drain()
    pool.is_gone()


def test_kills_in_the_middle(base, pool, rng, count):
    """Of the keeper while forks are taken: all the forks are there, whoever made them."""
    for _ in range(count(2, 50)):
        pool.size(2)
        keeper = pool.status()["pid"]
        child = base.tm.spawn("--format", "json", "fork", "--id", base.vm.id, "--count", 2)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(keeper, signal.SIGKILL)
        assert child.wait(BOOT) == 0, child.err
        for vm_id in base.ids():
            assert run(Vm(base.tm, vm_id), "echo $((6 * 7))") == "42"
            base.tm.run("halt", "--id", vm_id)
        eventually(lambda: pool.size(0) if pool.status()["size"] else True)
        base.has_no_forks()


def test_a_call_that_is_killed_leaves_nothing(base, pool, rng, count):
    pool.size(2)
    for _ in range(count(2, 50)):
        child = base.tm.spawn("fork", "--id", base.vm.id, "--count", 2)
        time.sleep(rng.uniform(0, 0.3))
        child.child.kill()
        child.wait()
        eventually(lambda: all(vm["state"] != "restoring" for vm in base.tm.json("ls")))
        for vm_id in base.ids():
            base.tm.run("halt", "--id", vm_id, check=False)
        eventually(lambda: not base.ids(), BOOT, "the end of all forks")
    pool.full()
    pool.drain()
    pool.is_gone()


# What is refused


def test_what_has_no_pool(base, pool, tm):
    assert "no pool" in base.vm.fail(6, "pool", "--drain")
    assert "exclude" in base.vm.fail(2, "pool", "--drain", "--status")
    assert "--size" in base.vm.fail(2, "pool", "--size", 1001)
    assert "MiB" in base.vm.fail(8, "pool", "--size", 1000, "--vsock")
    assert "there is no VM" in tm.fail(3, "pool", "--id", "nobody")
    pool.size(1)
    assert "pool" in base.vm.fail(8, "fork", "--count", 1000, "--vsock")
    pool.drain()
    base.vm.start()
    assert "at rest" in base.vm.fail(5, "pool", "--size", 1)
    base.vm.halt()
