"""A day of a lab in a few seconds, with --soak in ten minutes: traffic of all kinds, plugs that come
and go, processes that die; afterwards nothing has leaked or stalled, and the counters add up."""
import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from lab import traffic
from lab.dhcp import Udhcpc
from lab.proc import children
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
        self.client.start("-t", "20")  # on a machine as busy as it may be
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
    def __init__(self, vnet, members, rng):
        self.vnet, self.members, self.rng = vnet, members, rng
        self.control = vnet.control()
        self.control.call("events")
        self.passed = 0

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

    def go(self, rounds):
        for i in range(rounds):
            if i == rounds // 2:
                kill_child(self.vnet.pid, "capture")  # the lab goes on without
                self.control.event("capture-failed")
            if i % 20 == 10:
                self.kill_egress()
            self.rng.choice((self.replug, self.renew, self.passer, self.private))()


def kill_child(parent, name):
    """As a bug in it does it."""
    for pid in children(parent):
        if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2]:
            os.kill(pid, signal.SIGKILL)
            return
    raise AssertionError(f"{parent} has no child '{name}'")


# --- and what must hold after it ---

def most_went_well(members):
    """Talks with who was being plugged in again may fail; no kind of talk fails as a rule."""
    print(members)
    for kind in members[0]:
        good, bad = (sum(one[kind][i] for one in members) for i in (0, 1))
        assert good > bad, kind
    assert all(any(good for good, _ in one.values()) for one in members)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


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
    files, memory = descriptors(vnet.pid), vnet.memory()
    day = Day(vnet, members, rng)
    day.go(count(30, 8000))
    for one in members:
        one.hears_all(members)
    most_went_well([one.finish() for one in members])
    nobody_passes_by(vnet, members)
    counters_add_up(vnet, members)
    day.control.close()
    assert eventually(lambda: descriptors(vnet.pid) <= files, what="no more descriptors than before")
    assert vnet.memory() <= memory + POOL
