"""A whole lab: VMs and namespaces on two networks, with routers between them."""
import sys
from pathlib import Path

import pytest

from lab import transfer
from lab.capture import Capture
from lab.vnet import NIC
from lab.wait import BOOT, SOON, eventually

LAB = """
seed: 1
capture: lab.pcapng
networks:
  home: { lan: 192.168.1.1/24, lan6: "2000:52::1/64", ra: { interval: 5s } }
  office: { lan: 10.2.0.1/16, lan6: "2000:53::1/64", ra: { interval: 5s } }
nodes:
  a: { network: home }
  b: { network: home }
  c: { network: office }
  d: { network: office }
internet: { dns: { example.test: [5.0.0.1, "2052::1"] } }
"""
MACS = {name: f"52:cc:cc:cc:cc:{n:02x}" for n, name in enumerate("abcd", 1)}
ADDRESSES = {"a": "192.168.1.101", "b": "192.168.1.102", "c": "10.2.0.103", "d": "10.2.0.104"}
PROGRAM = Path(transfer.__file__)


def slaac(mac, prefix):
    """The address that a kernel makes of its MAC (RFC 4291, appendix A)."""
    o = [int(part, 16) for part in mac.split(":")]
    return f"{prefix}:{o[0] ^ 2:x}{o[1]:02x}:{o[2]:x}ff:fe{o[3]:02x}:{o[4]:x}{o[5]:02x}"


class Guest:
    """A VM with the verbs of a Node."""

    def __init__(self, vm):
        self.vm = vm

    def run(self, command):
        return self.vm.sh(command)

    def ping(self, address):
        self.run(f"ping -c 1 -W {SOON} {address}")

    def addresses6(self):
        text = self.run("ip -6 addr show dev eth0 scope global")
        return [line.split()[1].split("/")[0] for line in text.splitlines()
                if "inet6" in line and "tentative" not in line]


@pytest.fixture
def lab(make_vnet):
    return make_vnet(lab=LAB)


@pytest.fixture
def guests(tm, lab):
    """The VMs a and c, booted at the same time."""
    vms = {name: tm.vm(name).create(mac=MACS[name]) for name in "ac"}
    for vm in vms.values():
        vm.start(wait="running")
    for vm in vms.values():
        vm.wait("ip")
    return {name: Guest(vm) for name, vm in vms.items()}


@pytest.fixture
def nodes(make_node, lab):
    return {name: make_node(lab, MACS[name], name=name) for name in "bd"}


def test_two_guests_and_two_namespaces(lab, guests, nodes):
    for name, node in nodes.items():
        assert node.dhcp() == ADDRESSES[name]
    for name, guest in guests.items():
        assert guest.vm.addresses()[MACS[name]] == [ADDRESSES[name]]
    everybody_pings(guests, nodes)
    everybody_resolves(guests, nodes)
    ipv6_works(guests, nodes)
    transfers_arrive(guests, nodes)
    assert set(lab.links()) == set("abcd")
    lab.stop()
    nothing_leaks(Capture(Path(lab.world.dir) / "lab.pcapng"))


def everybody_pings(guests, nodes):
    others = [*ADDRESSES.values(), "192.168.1.1", "10.2.0.1", "5.0.0.1"]
    for one in [*guests.values(), *nodes.values()]:
        for address in others:
            one.ping(address)


def everybody_resolves(guests, nodes):
    for guest in guests.values():
        answer = guest.run("nslookup b.home.internal; nslookup example.test")
        assert ADDRESSES["b"] in answer and "5.0.0.1" in answer
    assert nodes["b"].out("dig", "+short", "@192.168.1.1", "-q", "a").split() == [ADDRESSES["a"]]
    assert nodes["d"].out("dig", "+short", "@10.2.0.1", "example.test", "AAAA").split() == ["2052::1"]


def ipv6_works(guests, nodes):
    prefixes = {"a": "2000:52::", "b": "2000:52::", "c": "2000:53::", "d": "2000:53::"}
    want = {name: slaac(MACS[name], prefix[:-1]) for name, prefix in prefixes.items()}
    for name, node in nodes.items():
        assert node.wait_for_address(6) == want[name]
    for name, guest in guests.items():
        assert eventually(guest.addresses6, BOOT, "SLAAC") == [want[name]]
    for one in [*guests.values(), *nodes.values()]:
        for address in [*want.values(), "2000:52::1", "2000:53::1", "2052::1"]:
            one.ping(address)
    assert "fe80::1 " in nodes["b"].out("ip", "-6", "route", "show", "default")


def transfers_arrive(guests, nodes):
    """From a VM to a namespace on the other network, and back to a VM's listener."""
    sink = nodes["d"].spawn(sys.executable, PROGRAM, "sink", ADDRESSES["d"], 7000)
    with sink:
        sink.expect("ready\n")
        sent = guests["a"].run("dd if=/dev/urandom of=/tmp/x bs=64k count=64 2>/dev/null; "
                               f"nc {ADDRESSES['d']} 7000 </tmp/x; sha256sum </tmp/x").split()[0]
        assert sink.line() == sent
    guests["c"].run("nc -l -p 7001 </dev/null >/tmp/y &")
    guests["c"].run("until netstat -ltn | grep -q :7001; do :; done")
    sent = nodes["b"].out(sys.executable, PROGRAM, "source", ADDRESSES["c"], 7001, 4 << 20).strip()
    assert guests["c"].run("wait; sha256sum </tmp/y").split()[0] == sent


def nothing_leaks(capture):
    """What a plug saw is its own network's; and tshark finds nothing wrong."""
    capture.check()
    homes = {"home": ("a", "b"), "office": ("c", "d")}
    for network, names in homes.items():
        allowed = {MACS[name] for name in names} | {capture.router_mac(network)}
        seen = capture.macs(lambda interface, network=network: interface.startswith(f"{network}/"))
        assert seen and seen <= allowed, f"on {network}: {seen - allowed}"
    assert set(capture.interfaces()) == {"home/a", "home/b", "office/c", "office/d"}
