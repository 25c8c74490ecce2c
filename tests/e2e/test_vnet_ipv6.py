"""IPv6 as the kernel of a node sees it: addresses by advertisements, neighbours, ways and their MTU."""
import json
import re
from pathlib import Path

import pytest

from lab.capture import Capture
from lab.vnet import NIC
from lab.wait import SOON, eventually

LAB = """
capture: lab.pcapng
networks:
  home: { lan: 192.168.1.1/24, lan6: "2000:52::1/64" }
  office: { lan6: "2000:53::1/64", wan-mtu: 1400 }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01", network: home }
  b: { mac: "52:cc:cc:cc:cc:02", network: home }
  c: { mac: "52:cc:cc:cc:cc:03", network: office }
"""
ADDRESS = {"a": "2000:52::50cc:ccff:fecc:cc01", "b": "2000:52::50cc:ccff:fecc:cc02",
           "c": "2000:53::50cc:ccff:fecc:cc03"}  # RFC 4291, appendix A
LOCAL = {name: "fe80::" + address.split("::")[1] for name, address in ADDRESS.items()}
ROUTER = "52:EE:EE:EE:EE:01"


@pytest.fixture
def lab(make_vnet, make_node):
    """vnet and the nodes a, b, c, which have their addresses."""
    vnet = make_vnet(lab=LAB)
    nodes = {name: make_node(vnet, f"52:cc:cc:cc:cc:0{i}") for i, name in enumerate("abc", 1)}
    for name, node in nodes.items():
        assert node.wait_for_address(6) == ADDRESS[name]
    return vnet, nodes


def answers(ping):
    return set(re.findall(r"bytes from ([^ %]+)", ping.stdout))


def test_everybody_is_reached(lab):
    vnet, nodes = lab
    a = nodes["a"]
    for to in (f"fe80::1%{NIC}", "2000:52::1", ADDRESS["b"], f"{LOCAL['b']}%{NIC}", "2000:53::1",
               ADDRESS["c"]):
        a.ping(to)
    nodes["c"].ping(ADDRESS["a"])
    everybody = {"fe80::1", LOCAL["a"], LOCAL["b"]}
    eventually(lambda: answers(a.run("ping", "-n", "-c", "2", "-i", "0.2", f"ff02::1%{NIC}"))
               == everybody, what="an answer of everybody in the network")
    vnet.stop()
    capture = Capture(Path(vnet.world.dir) / "lab.pcapng")
    capture.check()


def test_router_advertises_and_answers(lab):
    a = lab[1]["a"]
    said = a.out("rdisc6", "-1", "-w", "2000", NIC)
    for line in (r"Hop limit +: +64", r"Stateful address conf. +: +No", r"Router lifetime +: +1800",
                 rf"Source link-layer address: {ROUTER}", r"Prefix +: 2000:52::/64",
                 r"Autonomous address conf.: +Yes", r"MTU +: +1500",
                 r"Recursive DNS server +: 2000:52::1", r"DNS search list +: home.internal",
                 r"from fe80::1"):
        assert re.search(line, said), said
    for address, mac in (("fe80::1", ROUTER), ("2000:52::1", ROUTER),
                         (ADDRESS["b"], "52:CC:CC:CC:CC:02")):
        assert f"Target link-layer address: {mac}" in a.out("ndisc6", "-1", address, NIC)


@pytest.mark.parametrize("taken", ["2000:52::1", ADDRESS["b"]])
def test_a_taken_address_is_found_out(lab, taken):
    a = lab[1]["a"]

    def failed():
        links = json.loads(a.out("ip", "-j", "-6", "address", "show", "dev", NIC))
        return [one["local"] for link in links for one in link.get("addr_info", [])
                if one.get("dadfailed")] == [taken]
    a.run("ip", "address", "add", f"{taken}/64", "dev", NIC)
    eventually(failed, what=f"{taken} found to be taken")


def test_the_way_is_told(lab):
    a = lab[1]["a"]
    hops = ["2000:52::1", "2000:53::1", ADDRESS["c"]]
    said = a.out("traceroute", "-6", "-n", "-q", "1", "-w", SOON, ADDRESS["c"])
    assert re.findall(r"^ *\d+ +(\S+)", said, re.M) == hops
    said = a.out("tracepath", "-6", "-n", ADDRESS["c"])
    assert "pmtu 1400 hops 3 back 3" in said, said
    for to, why in (("2000:53::dead", "Address unreachable"), ("2099::1", "No route")):
        done = a.run("ping", "-n", "-c", "1", "-W", SOON, to, check=False)
        assert f"Destination unreachable: {why}" in done.stdout
