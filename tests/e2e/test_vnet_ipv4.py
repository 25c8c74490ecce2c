"""IPv4 between networks as the kernels of nodes see it: the way, its MTU, errors, NAT."""
import re

import pytest

from lab.vnet import NIC
from lab.wait import SOON

LAB = """
networks:
  home: { lan: 192.168.1.1/24 }
  office: { lan: 10.2.0.1/16, wan: 2.2.2.2, nat: none, wan-mtu: 1400 }
  flat: { lan: 192.168.9.1/24, wan: 2.1.1.1, nat: easy }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01", network: home }
  c: { mac: "52:cc:cc:cc:cc:03", network: office }
  d: { mac: "52:cc:cc:cc:cc:04", network: flat }
internet: { hosts: [5.0.0.1] }
"""
ADDRESS = {"a": "192.168.1.101", "c": "10.2.0.103", "d": "192.168.9.104"}
HOST, WAN = "5.0.0.1", "2.1.1.1"


@pytest.fixture
def lab(make_vnet, make_node):
    """vnet and the nodes a, c, d, which have their addresses."""
    vnet = make_vnet(lab=LAB)
    nodes = {name: make_node(vnet, f"52:cc:cc:cc:cc:0{i}") for name, i in zip("acd", (1, 3, 4))}
    for name, node in nodes.items():
        assert node.dhcp() == ADDRESS[name]
    return vnet, nodes


def test_everybody_is_reached(lab):
    a, c, d = lab[1].values()
    for to in ("192.168.1.1", "10.2.0.1", "2.2.2.2", WAN, HOST, ADDRESS["c"]):
        a.ping(to)
    c.ping(ADDRESS["a"])
    for to in ("192.168.9.1", WAN, "10.2.0.1", HOST, ADDRESS["a"], ADDRESS["c"]):
        d.ping(to)
    done = c.run("ping", "-n", "-c", "1", "-W", SOON, ADDRESS["d"], check=False)  # not from outside
    assert "From 10.2.0.1 icmp_seq=1 Destination Net Unreachable" in done.stdout, done.stdout


def test_the_way_is_told(lab):
    a, _, d = lab[1].values()
    for node, hops in ((a, ["192.168.1.1", "2.2.2.2", ADDRESS["c"]]),
                       (d, ["192.168.9.1", "2.2.2.2", ADDRESS["c"]])):
        for kind in ("--udp", "--icmp", "--tcp"):
            said = node.out("traceroute", kind, "-n", "-q", "1", "-w", SOON, ADDRESS["c"])
            assert re.findall(r"^ *\d+ +(\S+)", said, re.M) == hops, said
        said = node.out("tracepath", "-n", ADDRESS["c"])
        assert "pmtu 1400 hops 3 back 3" in said, said
    said = a.out("traceroute", "-n", "-q", "1", "-w", SOON, HOST)
    assert re.findall(r"^ *\d+ +(\S+)", said, re.M) == ["192.168.1.1", HOST]
    for to, why in (("10.2.77.77", "Host"), ("8.8.8.8", "Net")):
        done = a.run("ping", "-n", "-c", "1", "-W", SOON, to, check=False)
        assert f"Destination {why} Unreachable" in done.stdout, done.stdout


def test_large_packets_arrive(lab):
    a, _, d = lab[1].values()
    for node in (a, d):
        for to in ("10.2.0.1", HOST, ADDRESS["c"]):
            node.run("ping", "-n", "-c", "1", "-W", SOON, "-M", "dont", "-s", "3000", to)
    done = a.run("ping", "-n", "-c", "1", "-W", SOON, "-M", "do", "-s", "1472", ADDRESS["c"],
                 check=False)
    assert "mtu = 1400" in done.stdout + done.stderr, done


def test_closed_ports_are_told(lab):
    d = lab[1]["d"]
    for to in ("192.168.9.1", HOST, ADDRESS["c"]):
        said = d.out("nmap", "-e", NIC, "-Pn", "-n", "-sS", "-sU", "-p", "T:80,U:9", to)
        assert re.search(r"80/tcp +closed", said) and re.search(r"9/udp +closed", said), said


SERVER = """
import hashlib, socket
with socket.create_server(("0.0.0.0", 7000)) as server:
    print("ready", flush=True)
    peer, address = server.accept()
    with peer:
        data = b"".join(iter(lambda: peer.recv(65536), b""))
        peer.sendall((address[0] + " " + hashlib.sha256(data).hexdigest()).encode())
"""
CLIENT = """
import hashlib, random, socket
data = random.Random(1).randbytes(3 << 20)
with socket.create_connection(("%s", 7000)) as peer:
    peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
    address, digest = b"".join(iter(lambda: peer.recv(65536), b"")).decode().split()
assert digest == hashlib.sha256(data).hexdigest()
print(address)
"""


@pytest.mark.parametrize("client, seen", [("a", ADDRESS["a"]), ("d", WAN)])
def test_a_transfer_arrives(lab, client, seen):
    _, nodes = lab
    server = nodes["c"].spawn("/usr/bin/python3", "-c", SERVER)
    try:
        server.expect("ready\n")
        assert nodes[client].out("/usr/bin/python3", "-c", CLIENT % ADDRESS["c"]).strip() == seen
    finally:
        server.close()
