"""A day of a lab in a few seconds, with --soak in ten minutes: traffic of all kinds, plugs that come
and go, processes that die; afterwards nothing has leaked or stalled, and the counters add up."""
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from lab import traffic
from lab.dhcp import Udhcpc
from lab.proc import children, claimed, descriptors, resident
from lab.vnet import NIC
from lab.wait import SOON, eventually
from lab.wire import Datagram

LAB = """
seed: 7
capture: lab.pcapng
default-network: home
networks:
  home: { lan: 192.168.1.1/24, lan6: "2000:52::1/64", wan: 2.1.1.1, nat: easy }
  office: { lan: 10.2.0.1/16, lan6: "2000:53::1/64" }
nodes: { %s }
internet:
  hosts: [5.0.0.1]
  dns: { example.test: 5.0.0.1 }
  egress: host
  forward: { "5.0.0.2:%d": "127.0.0.1:%d" }
"""
OUTSIDE = "5.0.0.2"
ROUTERS = {"home": "192.168.1.1", "office": "10.2.0.1"}
PROGRAM = Path(traffic.__file__)
PASSER = 200     # the first number of clients that the lab does not know
POOL = 16 << 20  # buffers that are used for the first time stay resident
SLACK = 512 << 10
JUDGED = 100     # times that a process must have been weighed for that
NOON = 2 / 3


def network_of(number):
    return ("home", "office")[number % 2]


class Member:
    """A node with its DHCP client, and its traffic, which begins with talk()."""

    def __init__(self, make_node, vnet, number):
        self.network = network_of(number)
        self.name = f"n{number}"
        self.node = make_node(vnet, f"52:cc:cc:cc:cc:{number:02x}", name=self.name)
        self.client, self.traffic = Udhcpc(self.node), None
        self.address = self.join()

    def join(self):
        self.client.start()
        return self.client.told(Udhcpc.BOUND)["ip"]

    def renew(self):
        self.client.renew()
        self.client.told(Udhcpc.RENEWED)

    def replug(self):
        """Another TAP; the addresses went with the old one."""
        self.client.proc.close()
        self.node.replug()
        assert self.join() == self.address, "another address than before"

    def talk(self, members):
        peers = [one.address for one in members if one is not self and self.reaches(one)]
        self.traffic = self.node.world.keep(self.node.spawn(
            sys.executable, PROGRAM, *peers, ROUTERS[self.network], "example.test",
            OUTSIDE))
        self.traffic.expect("ready\n")

    def reaches(self, other):
        """Nobody comes in by the NAT."""
        return other.network in (self.network, "office")

    def hears_all(self, members):
        others = [one.address for one in members if one is not self and self.reaches(one)]
        self.traffic.say(" ".join(others) + "\n")
        assert self.traffic.line(4 * SOON) == "all answer", self.name

    def so_far(self):
        self.traffic.say("\n")
        return json.loads(self.traffic.line())

    def finish(self):
        self.traffic.child.stdin.close()
        went = json.loads(self.traffic.line())
        self.traffic.wait()
        return went

    def seen_by_kernel(self):
        """(what it sent, what it got), frames."""
        info = json.loads(self.node.out("ip", "-j", "-s", "link", "show", "dev", NIC))[0]
        return info["stats64"]["tx"]["packets"], info["stats64"]["rx"]["packets"]


# --- what happens in a day ---

class Day:
    """Until noon the way out is killed now and then, at noon the capture; what runs then may go on."""

    def __init__(self, vnet, members, rng):
        self.vnet, self.members, self.rng = vnet, members, rng
        self.control = vnet.control()
        self.control.call("events")
        self.passed, self.happened = 0, Counter()

    def replug(self):
        self.rng.choice(self.members).replug()

    def renew(self):
        self.rng.choice(self.members).renew()

    def passer(self):
        """A client without a MAC of the lab's, until it is missed."""
        self.passed += 1
        path = self.vnet.world.sock(f"p{self.passed}")
        with Datagram(PASSER + self.passed % 50, self.vnet.path, path, False) as one:
            one.lease()
            self.control.event("plug", peer=path)
        os.unlink(path)

    def private(self):
        """A client that is told when to come and when to go."""
        self.passed += 1
        path = self.vnet.world.sock(f"p{self.passed}")
        with Datagram(PASSER + self.passed % 50, None, path, False) as one:
            plug = self.control.call("plug", kind="private", path=path, mac=one.mac)
            one.sock.connect(plug["address"])
            one.connected = True
            self.control.call("connected", plug=plug["plug"])
            one.lease()
            self.control.call("unplug", plug=plug["plug"])
        os.unlink(path)

    def kill_egress(self):
        """It comes back; a while later when it died a moment ago."""
        kill_child(self.vnet.pid, "egress")
        self.control.event("egress-up")

    def kill_capture(self):
        """The lab goes on without."""
        capture = self.vnet.ask("status")["capture"]
        print("captured:", capture["packets"], "packets,", capture["bytes"], "bytes, lost", capture["lost"])
        kill_child(self.vnet.pid, "capture")
        self.control.event("capture-failed")

    def go(self, seconds, kills, watch):
        """`watch` is called after each thing that happens."""
        begin, plan = time.monotonic(), []
        deaths = [(NOON * i / kills, self.kill_egress) for i in range(kills)] + [(NOON, self.kill_capture)]
        while (now := (time.monotonic() - begin) / seconds) < 1 or plan or deaths:
            plan = plan or self.rng.sample((self.replug, self.renew, self.passer, self.private), 4)
            what = deaths.pop(0)[1] if deaths and deaths[0][0] <= now else plan.pop()
            what()
            self.happened[what.__name__] += 1
            watch()


def kill_child(parent, name):
    """As a bug in it does it."""
    os.kill(next(pid for pid in children(parent) if job(pid) == name), signal.SIGKILL)


def job(pid):
    """What a child of vnet does: its first argument."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1].decode()


# --- what its processes take ---

class Scales:
    """Memory and descriptors of vnet and its children, in the course of time."""

    def __init__(self, vnet):
        self.vnet, self.lives = vnet, {}
        self.weigh()

    def weigh(self):
        pids = {pid: job(pid) for pid in children(self.vnet.pid)} | {self.vnet.pid: "vnet"}
        for pid, name in pids.items():
            weight = resident(pid), claimed(pid), descriptors(pid)
            self.lives.setdefault((name, pid), []).append(weight)

    def nothing_grew(self):
        """Judged is the longest life of each kind; which kinds have one that is long enough."""
        longest = {}
        for (name, pid), life in sorted(self.lives.items(), key=lambda item: len(item[1])):
            longest[name] = pid, life
        judged = {name: found for name, found in longest.items() if len(found[1]) >= JUDGED}
        for name, (pid, life) in judged.items():
            early, late = (floor(life[len(life) * i // 3:len(life) * (i + 1) // 3]) for i in (1, 2))
            print(f"{name} {pid}: (resident, claimed, descriptors) at first {life[0]}, at least {early}, "
                  f"later {late}; weighed {len(life)} times")
            # Buffers that are used for the first time become resident, a thread's stack stays claimed:
            # what leaks does both.
            assert min(late[0] - early[0], late[1] - early[1]) <= SLACK, name
            assert late[2] <= early[2], name
            assert life[-1][0] <= life[0][0] + POOL, name
        return judged.keys()

    def nothing_is_held(self):
        """Once nobody talks any more."""
        for name in ("vnet", "egress"):
            pid = list(pid for job, pid in self.lives if job == name)[-1]
            least = min(weight[2] for (job, _), life in self.lives.items() if job == name for weight in life)
            eventually(lambda pid=pid, least=least: descriptors(pid) <= least,
                       what=f"at most {least} descriptors of {name} {pid}")


def floor(weights):
    """What they never went below: connections come and go."""
    return [min(column) for column in zip(*weights)]


# --- and what must hold after it ---

def enough_said(members):
    """How the talks went, once that is a rule at each node: a few seconds on a busy machine are short."""
    went = [one.so_far()["went"] for one in members]
    return went if all(good > bad for one in went for good, bad in one.values()) else None


def most_went_well(went, least):
    """Talks with who was being plugged in again may fail; no kind of talk fails as a rule."""
    for kind in went[0]:
        good, bad = (sum(one[kind][i] for one in went) for i in (0, 1))
        print(f"{kind}: {good} went well, {bad} did not; of one node at least", min(one[kind][0] for one in went))
        assert good > bad, kind
        assert all(one[kind][0] >= least for one in went), kind


def nobody_passes_by(vnet, members):
    """vnet misses a silent client within a second or two."""
    return eventually(lambda: len(vnet.links()) == len(members), what="only nodes' plugs")


def counters_add_up(vnet, members):
    """What a node's kernel sent and got is what vnet counted; routers go on speaking meanwhile."""
    def differing():
        plugs = {plug["name"]: plug for plug in vnet.ask("counters")["plugs"]}
        return {one.name: found for one in members
                if (found := (one.seen_by_kernel(), counted(plugs[one.name])))[0] != found[1]}
    eventually(lambda: not differing(), what="the same counts")


def counted(plug):
    lost = sum(plug["drops"].get(why, 0) for why in ("slow-client", "unsent"))
    return plug["frames_in"], plug["frames_out"] - lost


@pytest.fixture
def outside():
    """The port of a server of the host's that sends back what it gets."""
    with traffic.StreamServer(("127.0.0.1", 0), traffic.Streams) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_day(make_vnet, make_node, count, rng, outside):
    numbers = range(1, count(4, 20) + 1)
    nodes = (f'n{n}: {{ mac: "52:cc:cc:cc:cc:{n:02x}", network: {network_of(n)} }}' for n in numbers)
    vnet = make_vnet(lab=LAB % (", ".join(nodes), traffic.PORT, outside))
    members = [Member(make_node, vnet, n) for n in numbers]
    for one in members:
        one.talk(members)
    for one in members:
        one.hears_all(members)
    day, scales = Day(vnet, members, rng), Scales(vnet)
    day.go(count(4, 600), count(2, 25), scales.weigh)
    print(", ".join(f"{what} {times}" for what, times in day.happened.items()))
    assert min(day.happened[what] for what in ("replug", "renew", "passer", "private")) >= count(1, 100)
    for one in members:
        one.hears_all(members)
    most_went_well(eventually(lambda: enough_said(members), what="enough talks"), count(1, 50))
    ends = [one.finish() for one in members]
    silence = max(end["silence"] for end in ends)
    print(f"longest time in which a node heard nothing: {silence:.1f} s")
    assert silence < SOON
    nobody_passes_by(vnet, members)
    counters_add_up(vnet, members)
    assert vnet.ask("status")["egress"]["restarts"] == day.happened["kill_egress"]
    day.control.close()
    scales.nothing_is_held()
    assert scales.nothing_grew() >= count(set(), {"vnet", "capture", "egress"})
