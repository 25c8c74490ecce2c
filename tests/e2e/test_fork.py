"""Forks: running copies of a saved VM, each its own, the base untouched, nothing left of them."""
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import packet
from lab.proc import Proc, children
from lab.tailmac import Vm
from lab.wait import BOOT, SOON, eventually, gone

KIB = 1024


def digest(path):
    """Of a file's data, and where its holes are."""
    found = hashlib.blake2b()
    with path.open("rb") as f:
        end = 0
        while end < path.stat().st_size:
            try:
                start = os.lseek(f.fileno(), end, os.SEEK_DATA)
            except OSError:  # only a hole is left
                break
            end = os.lseek(f.fileno(), start, os.SEEK_HOLE)
            found.update(b"%d %d" % (start, end))
            for at in range(start, end, 1 << 20):
                found.update(os.pread(f.fileno(), min(1 << 20, end - at), at))
    return found.hexdigest()


def digests(directory):
    """{name: digest} of every file of a VM."""
    return {str(path.relative_to(directory)): digest(path)
            for path in directory.rglob("*") if path.is_file()}


class Base:
    """A saved VM, and what is made of it."""

    def __init__(self, tm, saved):
        self.tm, self.vm = tm, saved.copy(tm, "a")
        self.before = digests(self.vm.dir)

    def fork(self, *args):
        """The document of `fork`."""
        return self.tm.json("fork", "--id", self.vm.id, *args)

    def forks(self, *args):
        return [Vm(self.tm, fork["id"]) for fork in self.fork(*args)["forks"]]

    def ids(self):
        return [vm_id for vm_id in self.tm.ids() if vm_id != self.vm.id]

    def runtime(self):
        """What there is of forks in the run-time directory, and their NICs' sockets."""
        return sorted(str(path) for place in (self.tm.world.runtime, Path("/tmp"))
                      for path in (place.rglob("*") if place != Path("/tmp") else place.iterdir())
                      if f"{self.vm.id}-" in path.name)

    def is_intact(self):
        now = digests(self.vm.dir)
        assert {name: now.get(name) for name in self.before} == self.before
        assert now.keys() == self.before.keys()

    def has_no_forks(self):
        assert not self.ids()
        assert not self.runtime()
        self.is_intact()


@pytest.fixture
def base(tm, server, saved):
    return Base(tm, saved)


def run(vm, script):
    done = subprocess.run(vm.tm.argv("exec", "--id", vm.id, "--", "sh", "-c", script), check=False,
                          env=vm.tm.world.env, text=True, capture_output=True, timeout=BOOT)
    assert done.returncode == 0, (script, done)
    return done.stdout.strip()


def distinct(values, n):
    values = list(values)
    assert len(set(values)) == n == len(values), values
    return set(values)


# Identity


def are_themselves(tm, forks):
    """In their own eyes: each has its MAC and name, the right time, and what no other one has."""
    machines, drawn = [], []
    for fork in forks:
        before = time.time()
        mac, name, now, machine, random = run(
            Vm(tm, fork["id"]), "cat /sys/class/net/eth0/address; hostname; date +%s; "
            "cat /etc/machine-id; head -c 16 /dev/urandom | md5sum").splitlines()
        assert (mac, name) == (fork["mac"], fork["id"])
        assert before - 2 < int(now) < time.time() + 2
        machines.append(machine)
        drawn.append(random)
    distinct(machines, len(forks))
    distinct(drawn, len(forks))


def test_eight_forks_are_eight_machines(base, server):
    quiet = server.mark()
    answer = base.fork("--count", 8)
    forks = [Vm(base.tm, fork["id"]) for fork in answer["forks"]]
    assert [vm.id for vm in forks] == [f"{base.vm.id}-{n}" for n in range(1, 9)]
    macs = distinct((fork["mac"] for fork in answer["forks"]), 8)
    distinct((fork["pid"] for fork in answer["forks"]), 8)
    are_themselves(base.tm, answer["forks"])
    for vm, fork in zip(forks, answer["forks"]):
        log = base.tm.run("logs", "--id", vm.id).stdout
        assert re.search(r"agent: set .*entropy \d+ bytes.*\n(.*\n)*.*agent: ready", log)
        assert f"agent: set announce {fork['mac']}" in log
    for mac in macs:
        server.wait_from(mac, BOOT, quiet)
    seen = server.frames[quiet:]
    assert {frame.src for frame in seen} <= macs, "frames of the base"
    assert not [frame for frame in seen if frame.ether.kind == packet.ETH_RARP]


def test_another_mac_is_announced_for_the_addresses_that_stay(base, server):
    (vm,) = base.forks()
    run(vm, "ip address add 10.77.0.5/24 dev eth0")
    quiet = server.mark()
    base.tm.run("guest", "--id", vm.id, "--mac", "52:cc:cc:cc:03:09")

    def is_probe(seen):  # RFC 5227, 2.1.1
        arp = packet.Arp.parse(seen.ether.payload) if seen.ether.kind == packet.ETH_ARP else None
        return arp and (arp.op, arp.sender_mac, arp.sender_ip, arp.target_ip) == \
            (1, "52:cc:cc:cc:03:09", "0.0.0.0", "10.77.0.5")
    server.wait_frame(is_probe, BOOT, quiet, "a probe")


def test_disks_and_memory_are_their_own(base):
    one, two = base.forks("--count", 2)
    run(one, "echo secret >/data/own; echo secret >/run/own; sync")
    assert run(one, "cat /data/own /data/base") == "secret\nof-the-base"
    assert run(two, "ls /data /run | grep -c own || true") == "0"
    one.halt()
    two.halt()
    base.has_no_forks()
    (again,) = base.forks()
    assert run(again, "cat /data/base; ls /data /run | grep -c own || true") == "of-the-base\n0"
    again.delete()
    base.has_no_forks()
    base.vm.start()
    assert base.vm.status()["boot"] == "resumed"


def test_vsock_devices_have_cids_of_their_own(base):
    answer = base.fork("--count", 2, "--vsock")
    distinct((fork["cid"] for fork in answer["forks"]), 2)
    distinct((fork["vsock"] for fork in answer["forks"]), 2)
    for fork in answer["forks"]:
        vm = Vm(base.tm, fork["id"])
        eventually(lambda vm=vm: run(vm, "ls /sys/bus/virtio/devices | wc -l; "
                                     "cat /sys/bus/virtio/devices/*/device | grep -c 0x0013 || true"
                                     ).endswith("\n1"), what="a vsock device")
        vm.halt()
    base.has_no_forks()


def test_addresses_are_chosen(base):
    answer = base.fork("--count", 2, "--mac-base", "52:cc:cc:cc:01:ff", "--name", f"{base.vm.id}-m",
                       "--wait", "ip")
    assert [fork["mac"] for fork in answer["forks"]] == ["52:cc:cc:cc:01:ff", "52:cc:cc:cc:02:00"]
    distinct((fork["addresses"][0] for fork in answer["forks"]), 2)  # not the one that the base had
    more = base.fork("--macs", "52:cc:cc:cc:03:01", "--name", f"{base.vm.id}-n", "--wait", "ip")
    assert more["forks"][0]["mac"] == "52:cc:cc:cc:03:01"
    assert more["forks"][0]["addresses"]


# Many


def idle_cpu(pids, seconds):
    def ticks():
        return sum(int(n) for pid in pids
                   for n in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    before, start = ticks(), time.monotonic()
    time.sleep(seconds)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start)


def pss(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def test_many_at_once(base, count):
    n = count(6, 50)
    start = time.monotonic()
    answer = base.fork("--count", n, "--timeout", 10 * BOOT)
    took = time.monotonic() - start
    forks = [Vm(base.tm, fork["id"]) for fork in answer["forks"]]
    with ThreadPoolExecutor(n) as pool:
        assert list(pool.map(lambda vm: run(vm, "echo $((6 * 7))"), forks)) == ["42"] * n
    pids = [fork[key] for fork in answer["forks"] for key in ("pid", "engine_pid")]
    time.sleep(count(0, 20))  # until what a guest does after a resume is over
    each = sum(map(pss, pids)) / n / KIB
    print(f"{n} forks ready in {took:.2f} s; PSS of one {each:.1f} MiB; "
          f"idle CPU of all {idle_cpu(pids, count(1, 20)):.2f} of a core")
    assert each < 80
    for vm in forks:
        vm.halt()
    base.has_no_forks()


def test_one_after_another_leaves_nothing(base, count):
    """Four at a time; every fork answers. Memory and descriptors are its processes', which have ended."""
    def one(n):
        name = f"{base.vm.id}-t{n % 4}"
        (fork,) = base.fork("--name", name)["forks"]
        vm = Vm(base.tm, fork["id"])
        assert run(vm, "echo $((6 * 7))") == "42"
        vm.halt()
        assert gone(fork["pid"], SOON) and gone(fork["engine_pid"], SOON)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(count(8, 1000))))
    base.has_no_forks()


def test_names_are_shared_out(base):
    """Two calls at once take different numbers."""
    with ThreadPoolExecutor(2) as pool:
        made = [vm.id for vms in pool.map(lambda _: base.forks("--count", 3), range(2)) for vm in vms]
    assert distinct(made, 6) == {f"{base.vm.id}-{n}" for n in range(1, 7)}


# The end


def test_tied_forks_end_with_their_caller(base):
    tm = base.tm
    words = " ".join(tm.argv("fork", "--id", base.vm.id, "--count", 2, "--tie"))
    caller = subprocess.Popen(["sh", "-c", f"{words} >/dev/null && echo made && read line"],
                              env=tm.world.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert caller.stdout.readline() == "made\n"
        assert len(base.ids()) == 2
        pids = [tm.json("status", "--id", vm_id)["pid"] for vm_id in base.ids()]
    finally:
        caller.send_signal(signal.SIGKILL)
        caller.wait()
    for pid in pids:
        assert gone(pid, SOON)
    base.has_no_forks()


def test_the_base_is_held_while_forks_live(base):
    one, two = base.forks("--count", 2)
    for command in (("run",), ("configure", "--mac", "52:cc:cc:cc:cc:09"), ("delete",)):
        said = base.vm.fail(5, *command)
        assert one.id in said and two.id in said, said
    assert base.vm.status()["forks"] == [one.id, two.id]
    assert base.vm.state == "stopped"
    one.halt()
    assert two.id in base.vm.fail(5, "run")
    two.halt()
    base.vm.configure("--mac", "52:cc:cc:cc:cc:09")


def test_killed_hosts_leave_the_base_and_nothing_else(base):
    before = set(os.listdir(base.tm.bundle))
    one, two = base.forks("--count", 2)
    for vm in (one, two):
        run(vm, "dd if=/dev/zero of=/data/big bs=1M count=20 && sync")
    status = one.status()
    os.kill(status["pid"], signal.SIGKILL)
    assert gone(status["engine_pid"], SOON)
    assert base.ids() == [two.id]
    assert not [path for path in base.runtime() if one.id in path]
    status = two.status()
    for pid in (status["pid"], status["engine_pid"]):
        os.kill(pid, signal.SIGKILL)
        assert gone(pid, SOON)
    base.has_no_forks()
    assert set(os.listdir(base.tm.bundle)) == before
    base.vm.start()
    assert base.vm.status()["boot"] == "resumed"


def test_a_call_that_is_killed_leaves_nothing(base, rng, count):
    for _ in range(count(3, 50)):
        child = base.tm.spawn("fork", "--id", base.vm.id, "--count", 4)
        time.sleep(rng.uniform(0, 1.5))
        child.child.kill()
        hosts = children(child.pid)
        child.wait()
        for vm_id in base.ids():  # those that it had heard of are whole, others may be ending
            assert base.tm.run("halt", "--id", vm_id, check=False).returncode in (0, 3)
        for pid in hosts:
            assert gone(pid, SOON)
        base.has_no_forks()


def without_addresses(base):
    """Two forks on a network where nobody is, and the command that waits for their addresses."""
    call = Proc(base.tm.argv("fork", base.vm.id, "--count", "2", "--network", base.tm.world.sock("nobody"),
                             "--wait", "ip", "--timeout", "600"), env=base.tm.world.env)
    eventually(lambda: [base.tm.json("status", vm_id).get("agent", {}).get("ready")
                        for vm_id in base.ids()] == [True, True], BOOT, "two forks")
    return call


def test_forks_that_get_no_address_are_ended(base):
    with without_addresses(base) as call:
        call.interrupt()
        assert call.wait() == 130
        base.has_no_forks()
    with without_addresses(base) as call:
        os.kill(base.tm.json("status", base.ids()[0])["pid"], signal.SIGKILL)
        assert call.wait() == 1
        assert "ended before it was given an address" in call.err
        base.has_no_forks()
    base.tm.fail(7, "fork", base.vm.id, "--network", base.tm.world.sock("nobody"), "--wait", "ip",
                 "--timeout", "5")
    base.has_no_forks()


def test_forks_are_not_saved_by_accident(base):
    (vm,) = base.forks()
    assert "halt" in vm.fail(5, "stop")
    os.kill(vm.status()["pid"], signal.SIGINT)
    done = base.tm.run("--format", "json", "wait", "--id", vm.id, "--for", "stopped", check=False)
    # It may be gone before it is waited for: then there is no such VM.
    assert done.returncode == 3 or json.loads(done.stdout)["state"] == "gone", done
    base.has_no_forks()


def test_a_guest_that_powers_off_is_gone(base):
    (vm,) = base.forks()
    base.tm.run("stop", "--shutdown", "--id", vm.id)
    base.has_no_forks()


# The barrier


def test_held_forks_start_together(base, server, count):
    n = count(3, 8)
    quiet = server.mark()
    answer = base.fork("--count", n, "--hold")
    macs = {fork["mac"] for fork in answer["forks"]}
    forks = [Vm(base.tm, fork["id"]) for fork in answer["forks"]]
    assert answer["held"] and {vm.state for vm in forks} == {"paused"}
    time.sleep(2)
    assert server.mark() == quiet, server.summary(quiet)
    released = base.tm.json("release", "--group", answer["group"])
    print(f"spread {released['spread'] * 1000:.2f} ms")
    assert sorted(released["released"]) == sorted(vm.id for vm in forks)
    for vm in forks:
        vm.wait("ready")
        before = time.time()
        assert before - 2 < int(run(vm, "date +%s")) < time.time() + 2
    for mac in macs:
        server.wait_from(mac, BOOT, quiet)
    assert {frame.src for frame in server.frames[quiet:]} <= macs
    assert "no fork" in base.tm.fail(6, "release", "--group", answer["group"])


def test_one_held_fork_is_resumed_alone(base):
    one, two = base.forks("--count", 2, "--hold", "--group", "g")
    base.tm.run("resume", "--id", one.id)
    one.wait("ready")
    assert two.state == "paused" and two.status()["fork"]["held"]
    assert base.tm.json("release", "--group", "g")["released"] == [two.id]


# What is refused


def test_what_cannot_be_forked(tm, server):
    vm = tm.vm("a").create()
    assert "stop" in vm.fail(1, "fork")
    vm.start()
    assert "at rest" in vm.fail(5, "fork")
    vm.halt()


def test_wrong_words(base):
    def refused(code, *args):
        return base.vm.fail(code, "fork", *args)
    assert "--count" in refused(2, "--count", 0)
    assert "2 addresses for 3" in refused(2, "--count", 3, "--macs",
                                          "52:cc:cc:cc:03:01,52:cc:cc:cc:03:02")
    assert "twice" in refused(2, "--count", 2, "--macs", "52:cc:cc:cc:03:01,52:cc:cc:cc:03:01")
    assert "--mac-base" in refused(2, "--mac-base", "nonsense")
    assert "MiB" in refused(8, "--count", 1000, "--vsock")
    other = Vm(base.tm, f"{base.vm.id}-2").create()
    assert "exists" in refused(4, "--count", 2)
    other.delete()
    base.has_no_forks()


def test_a_damaged_state_is_found_out(base):
    ram = base.vm.dir / "SaveFile.vzvmsave" / "ram.img"
    with ram.open("r+b") as f:
        f.seek(1 << 20)
        f.write(b"damage")
    assert "damaged" in base.vm.fail(1, "fork")
