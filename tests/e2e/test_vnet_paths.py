"""Ways between networks, as the programs find them that people look for ways with: hops, MTU, what is
not there, and what a NAT lets through."""
import re
from pathlib import Path

import pytest

from lab import socks
from lab.capture import Capture
from lab.vnet import NIC
from lab.wait import SOON

LAB = """
capture: lab.pcapng
networks:
  home: { lan: 192.168.1.1/24, lan6: "2000:52::1/64", wan: 2.1.1.1, wan-mtu: 1400, nat: %s }
  office: { lan: 10.2.0.1/16, lan6: "2000:53::1/64", wan: 2.2.2.2, wan-mtu: 1400, nat: none }
nodes: { a: { network: home }, b: { network: office }, c: { network: home } }
internet: { hosts: [5.0.0.1, "2052::1"] }
"""
MAC = {name: f"52:cc:cc:cc:cc:0{n}" for n, name in enumerate("abc", 1)}
A, B, C = "192.168.1.101", "10.2.0.102", "192.168.1.103"
HOME, OFFICE, INTERNET = "192.168.1.1", "10.2.0.1", "5.0.0.1"
HOME6, OFFICE6, INTERNET6 = "2000:52::1", "2000:53::1", "2052::1"
HOME_WAN, OFFICE_WAN = "2.1.1.1", "2.2.2.2"
A6, B6 = "2000:52::50cc:ccff:fecc:cc01", "2000:53::50cc:ccff:fecc:cc02"
MTU = 1400  # of the way
HEADERS = {4: 20 + 8, 6: 40 + 8}  # of an echo
ROUTED, BEHIND_NAT = "none", "easy"


@pytest.fixture
def lab(make_vnet, make_node):
    """lab(nat, names) → vnet, and nodes that have their addresses."""
    def make(nat, names="ab"):
        vnet = make_vnet(lab=LAB % nat)
        nodes = [make_node(vnet, MAC[name], name=name) for name in names]
        for node in nodes:
            node.dhcp()
        for node in nodes:
            node.wait_for_address(6)
        return vnet, *nodes
    return make


# Hops


def traceroute(node, to, *options):
    """The address and what is told of each hop."""
    out = node.out("traceroute", *options, "-n", "-q1", f"-w{SOON}", to)
    return re.findall(r"^ *\d+ +(\S+)(?: +[\d.]+ ms)?(?: (!\S+))?", out, re.MULTILINE)


WAYS = [(B, [HOME, OFFICE_WAN, B]), (OFFICE, [HOME, OFFICE]), (INTERNET, [HOME, INTERNET]),
        (C, [C]), (B6, [HOME6, OFFICE6, B6]), (OFFICE6, [HOME6, OFFICE6]),
        (INTERNET6, [HOME6, INTERNET6])]


@pytest.mark.parametrize("nat", [ROUTED, BEHIND_NAT])
def test_traceroute(lab, nat):
    _, a, _, _ = lab(nat, "abc")
    for to, hops in WAYS:
        assert traceroute(a, to) == [(hop, "") for hop in hops]
    assert traceroute(a, B, "-I") == [(hop, "") for hop in (HOME, OFFICE_WAN, B)]
    assert traceroute(a, B, "-T", "-p", "99") == [(hop, "") for hop in (HOME, OFFICE_WAN, B)]


@pytest.mark.parametrize("to, hops", [way for way in WAYS if way[0] != C])
def test_tracepath(lab, to, hops):
    _, a, _ = lab(BEHIND_NAT)
    out = a.out("tracepath", "-n", to)
    assert f"Resume: pmtu {MTU} hops {len(hops)} back {len(hops)}" in out
    found = re.findall(r"^ *(\d+): +([0-9a-f.:]+) ", out, re.M)
    assert dict(found) == {str(n): hop for n, hop in enumerate(hops, 1)}


def test_rdisc6_and_ndisc6(lab):
    _, a, _ = lab(ROUTED)
    said = a.out("rdisc6", "-1", "-w", "2000", NIC)
    assert re.search(r"Prefix +: 2000:52::/64", said) and "from fe80::1" in said
    for router in ("fe80::1", HOME6):
        assert "52:EE:EE:EE:EE:01" in a.out("ndisc6", "-1", router, NIC)


# MTU


@pytest.mark.parametrize("family, to, router", [(4, B, HOME), (4, INTERNET, HOME), (6, B6, HOME6),
                                                (6, INTERNET6, HOME6)])
def test_a_packet_that_may_not_be_cut(lab, family, to, router):
    vnet, a, _ = lab(BEHIND_NAT)
    fits = MTU - HEADERS[family]

    def ping(size):
        return a.run("ping", "-n", "-c1", f"-W{SOON}", "-Mdo", f"-s{size}", to, check=False)
    assert ping(fits).returncode == 0
    first, second = ping(fits + 1), ping(fits + 1)
    assert first.returncode != 0 and second.returncode != 0
    assert re.search(rf"From {router} .*{MTU}\)?$", first.stdout, re.M), first.stdout
    assert re.search(rf"message too long, mtu[:=] ?{MTU}", second.stdout + second.stderr)  # it is known
    assert vnet.drops()["too-big"] == 1
    assert ping(fits).returncode == 0


@pytest.mark.parametrize("nat", [ROUTED, BEHIND_NAT])
def test_fragments_between_nodes(lab, nat):
    _, a, b, c = lab(nat, "abc")
    for to in (B, C, HOME, OFFICE, INTERNET):
        a.ping(to, size=3000)
    if nat == ROUTED:
        b.ping(A, size=3000)
    for one, other in ((a, B6), (b, A6)):  # IPv6 is cut by those who send
        assert f"pmtu {MTU}" in one.out("tracepath", "-n", other)
    a.ping(B6, size=3000)
    b.ping(A6, size=3000)


# What is not there


@pytest.mark.parametrize("to, who, why", [
    ("10.2.0.99", OFFICE_WAN, "Destination Host Unreachable"),
    ("10.99.0.1", HOME, "Destination Net Unreachable"),
    ("2000:53::99", OFFICE6, "Destination unreachable: Address unreachable"),
    ("2000:99::1", HOME6, "Destination unreachable: No route")])
def test_ping_is_told(lab, to, who, why):
    _, a, _ = lab(BEHIND_NAT)
    done = a.run("ping", "-n", "-c1", f"-W{SOON}", to, check=False)
    assert done.returncode == 1 and re.search(rf"From {who} icmp_seq=1 {why}", done.stdout), done.stdout


def test_ping_is_told_that_its_time_is_over(lab):
    _, a, _ = lab(BEHIND_NAT)
    for to, who in ((B, [HOME, OFFICE_WAN]), (B6, [HOME6, OFFICE6])):
        for hops, router in enumerate(who, 1):
            done = a.run("ping", "-n", "-c1", f"-W{SOON}", f"-t{hops}", to, check=False)
            assert re.search(rf"From {router} icmp_seq=1 Time (to live )?exceeded", done.stdout)


@pytest.mark.parametrize("to, hops", [("10.2.0.99", [(HOME, ""), (OFFICE_WAN, ""), (OFFICE_WAN, "!H")]),
                                      ("10.99.0.1", [(HOME, "!N")]),
                                      ("2000:53::99", [(HOME6, ""), (OFFICE6, ""), (OFFICE6, "!H")]),
                                      ("2000:99::1", [(HOME6, "!N")])])
def test_traceroute_is_told(lab, to, hops):
    _, a, _ = lab(BEHIND_NAT)
    assert traceroute(a, to, "-N1") == hops


@pytest.mark.parametrize("to, why", [(HOME, "Connection refused"), (B, "Connection refused"),
                                     ("10.2.0.99", "No route to host"),
                                     ("10.99.0.1", "Network is unreachable"),
                                     (HOME6, "Connection refused"), (B6, "Connection refused"),
                                     ("2000:53::99", "No route to host"),
                                     ("2000:99::1", "Network is unreachable")])
def test_nc_is_told(lab, to, why):
    _, a, _ = lab(BEHIND_NAT)
    done = a.run("busybox", "nc", f"-w{SOON}", to, "99", check=False)
    assert done.returncode == 1 and why in done.stderr


def ask(node, *words, check=True):
    """What comes back of a word that a socket in the node says."""
    return node.run("python3", Path(socks.__file__), "ask", *words, check=check).stdout.strip()


@pytest.mark.parametrize("to, why", [(HOME, "ECONNREFUSED"), (OFFICE, "ECONNREFUSED"),
                                     (B, "ECONNREFUSED"), (B6, "ECONNREFUSED"),
                                     (HOME6, "ECONNREFUSED"), (OFFICE6, "ECONNREFUSED")])
def test_a_udp_socket_is_told(lab, to, why):
    _, a, _ = lab(BEHIND_NAT)
    assert ask(a, "udp", to, 99, check=False) == why


# NAT


class Echo:
    """A server in a node; who asks it is in its output."""

    def __init__(self, node, kind, port):
        self.proc = node.world.keep(node.spawn("python3", Path(socks.__file__), "echo", kind, "0.0.0.0",
                                               port))
        assert self.proc.line() == "ready"

    def peer(self):
        address, port = self.proc.line().split()
        return address, int(port)


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_outbound_has_the_wan_address(lab, kind):
    _, a, b = lab(BEHIND_NAT)
    server = Echo(b, kind, 7000)
    assert ask(a, kind, B, 7000, 5000) == "hello"
    assert server.peer() == (HOME_WAN, 5000)  # the port is kept where it can be


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_without_a_nat_the_address_is_the_nodes(lab, kind):
    _, a, b = lab(ROUTED)
    server = Echo(b, kind, 7000)
    assert ask(a, kind, B, 7000, 5000) == "hello"
    assert server.peer() == (A, 5000)


def test_two_nodes_from_the_same_port(lab):
    _, a, b, c = lab(BEHIND_NAT, "abc")
    server = Echo(b, "udp", 7000)
    for node in (a, c):
        assert ask(node, "udp", B, 7000, 5000) == "hello"
    peers = [server.peer(), server.peer()]
    assert {address for address, _ in peers} == {HOME_WAN} and len(set(peers)) == 2


def test_pings_through_a_nat(lab):
    vnet, a, _ = lab(BEHIND_NAT)
    for to in (B, OFFICE, INTERNET):
        a.ping(to)
        a.ping(to, size=3000)
    vnet.stop()
    capture = Capture(Path(vnet.world.dir) / "lab.pcapng")
    capture.check()
    seen = capture.fields("ip.src", only=f"icmp.type == 8 and eth.dst == {MAC['b']}")
    assert {source for source, in seen} == {HOME_WAN}


KNOCK = """import socket, sys
kind, address, port, source = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
with socket.socket(type={"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[kind]) as knocker:
    knocker.bind(("", source))
    knocker.setblocking(False)
    knocker.connect_ex((address, port))
    if kind == "udp":
        knocker.send(b"let me in")
"""


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_unsolicited_inbound_is_dropped(lab, kind):
    """What nobody asked for, and what another port than the one that was spoken to says."""
    vnet, a, b, c = lab(BEHIND_NAT, "abc")
    inside, outside = Echo(a, kind, 5000), Echo(b, kind, 7000)
    assert ask(a, kind, B, 7000, 5001) == "hello"
    assert outside.peer() == (HOME_WAN, 5001)
    assert "nat-filtered" not in vnet.drops()
    for filtered, port in enumerate((5000, 5001), 1):
        b.run("python3", "-c", KNOCK, kind, HOME_WAN, port, 7001)
        b.ping(HOME_WAN)  # which comes after it
        assert vnet.drops()["nat-filtered"] == filtered
    assert ask(c, kind, A, 5000) == "hello"
    assert inside.peer()[0] == C, "somebody was there before"
    assert ask(a, kind, B, 7000) == "hello"
    assert outside.peer()[0] == HOME_WAN


def test_a_lan_behind_a_nat_is_not_there(lab):
    _, _, b = lab(BEHIND_NAT)
    done = b.run("ping", "-n", "-c1", f"-W{SOON}", A, check=False)
    assert re.search(rf"From {OFFICE} icmp_seq=1 Destination Net Unreachable", done.stdout)
