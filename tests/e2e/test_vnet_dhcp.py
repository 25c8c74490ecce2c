"""DHCP with the clients that people use: what they get, keep, lose and may not have."""
import itertools
import re
from pathlib import Path

import pytest

from lab.capture import Capture
from lab.dhcp import Dhclient, Dhcpcd, Udhcpc
from lab.vnet import NIC
from lab.wait import eventually

LEASE = 3600  # seconds
ROUTER = "192.168.1.1"
# The delay: udhcpc opens its socket after it has asked, and closes the one that it asked for more time
# with; it would miss an answer that is there at once.
LAB = """
capture: lab.pcapng
networks: { home: { lan: 192.168.1.1/24, mtu: 1400, domain: home.lab, lease-time: %ds } }
nodes: { a: { link: { delay: 200ms } }, b: {} }
"""
MAC = {"a": "52:cc:cc:cc:cc:01", "b": "52:cc:cc:cc:cc:02"}
ADDRESS = {"a": "192.168.1.101", "b": "192.168.1.102"}
GIVEN = {"address": ADDRESS["a"], "prefix": "24", "mask": "255.255.255.0", "router": ROUTER,
         "dns": ROUTER, "domain": "home.lab", "mtu": "1400", "server": ROUTER, "lease": str(LEASE)}
MESSAGES = {1: "discover", 2: "offer", 4: "decline", 5: "ack", 6: "nak", 7: "release", 8: "inform"}
REQUEST, EVERYBODY, NOBODY = 3, "255.255.255.255", "0.0.0.0"


class Leases:
    """vnet's table, and the events that tell of it."""

    def __init__(self, vnet):
        self.vnet, self.control = vnet, vnet.control()
        self.control.call("events")

    def of(self, mac):
        return next((one for one in self.vnet.ask("leases")["leases"] if one["mac"] == mac), None)

    def until(self, mac, fits):
        while True:
            told = self.control.event("lease", mac=mac)
            if fits(told["expires_in"]):
                return told

    def fresh(self, mac):
        """Waits for word of a lease that has all its time."""
        told = self.until(mac, lambda seconds: seconds >= LEASE - 1)
        assert self.of(mac)["address"] == told["address"]
        return told["address"]

    def aged(self, mac):
        """Waits until so much of it is over that fresh() would not take it for new."""
        eventually(lambda: self.of(mac)["expires_in"] < LEASE - 1, what="an aged lease")

    def ended(self, mac):
        self.until(mac, lambda seconds: seconds <= 0)
        assert self.of(mac)["expires_in"] <= 0


@pytest.fixture
def vnet(make_vnet):
    return make_vnet(lab=LAB % LEASE)


@pytest.fixture
def leases(vnet):
    return Leases(vnet)


@pytest.fixture
def node(vnet, make_node):
    return make_node(vnet, MAC["a"], name="a")


def kind_of_request(server, requested, address, to):
    """Which of RFC 2131's table 4 it is."""
    if server:
        return "selecting"
    if requested:
        return "init-reboot" if (address, to) == (NOBODY, EVERYBODY) else "broken"
    return "rebinding" if to == EVERYBODY else "renewing"


def talk(vnet, mac):
    """What the client with that MAC and the router said, in words. Ends vnet, so that all is written.
    What was said twice because an answer took its time is there once, also where both questions
    were asked before the first answer."""
    vnet.stop()
    capture = Capture(Path(vnet.world.dir) / "lab.pcapng")
    capture.check()
    rows = capture.fields("dhcp.id", "dhcp.option.dhcp", "dhcp.option.dhcp_server_id",
                          "dhcp.option.requested_ip_address", "dhcp.ip.client", "ip.dst",
                          only=f"dhcp.hw.mac_addr == {mac}")
    said = [(number, kind_of_request(*rest) if int(message) == REQUEST else MESSAGES[int(message)])
            for number, message, *rest in rows]
    words = [one[1] for i, one in enumerate(said) if one[1] not in SELECTED[:2] or one not in said[:i]]
    return [word for word, _ in itertools.groupby(words)]


def got(client, told):
    """The values that the client found in the answer, in our words."""
    return {word: told.get(variable) for word, variable in client.WORDS.items()}


def given(client):
    return {word: GIVEN[word] for word in client.WORDS}


def default_router(node):
    return node.out("ip", "-4", "route", "show", "default").split()[2]


SELECTED = ["discover", "offer", "selecting", "ack"]


@pytest.mark.parametrize("kind, options", [(Udhcpc, ["-q"]), (Dhclient, []), (Dhcpcd, ["-1"])])
def test_a_lease(vnet, leases, node, kind, options):
    client = kind(node).start(*options)
    assert got(client, client.told(client.BOUND)) == given(client)
    if kind is not Dhclient:  # which stays
        assert client.proc.wait() == 0
    assert node.addresses(4) == [ADDRESS["a"]] and default_router(node) == ROUTER
    node.ping(ROUTER)
    assert leases.fresh(MAC["a"]) == ADDRESS["a"]
    assert talk(vnet, MAC["a"])[:4] == SELECTED


@pytest.mark.parametrize("kind, options", [(Udhcpc, ["-T", "20"]), (Dhcpcd, [])])
def test_renewed_by_order(vnet, leases, node, kind, options):
    client = kind(node).start(*options)
    client.told(client.BOUND)
    leases.fresh(MAC["a"])
    leases.aged(MAC["a"])
    client.renew()
    assert got(client, client.told(client.RENEWED)) == given(client)
    assert leases.fresh(MAC["a"]) == ADDRESS["a"]
    assert talk(vnet, MAC["a"]) == [*SELECTED, "renewing", "ack"]


def test_renewed_by_itself(make_vnet, make_node):
    vnet = make_vnet(lab=LAB % 16)
    client = Dhclient(make_node(vnet, MAC["a"])).start()
    client.told(client.BOUND)
    for _ in range(2):
        assert client.told(client.RENEWED)[client.WORDS["address"]] == ADDRESS["a"]
    assert client.node.addresses(4) == [ADDRESS["a"]]
    assert talk(vnet, MAC["a"])[:8] == [*SELECTED, "renewing", "ack", "renewing", "ack"]


def test_rebound(vnet, leases, node):
    client = Dhcpcd(node).start()
    client.told(client.BOUND)
    leases.fresh(MAC["a"])
    leases.aged(MAC["a"])
    client.rebind()
    assert got(client, client.told(client.RENEWED)) == given(client)
    assert leases.fresh(MAC["a"]) == ADDRESS["a"]
    assert talk(vnet, MAC["a"]) == [*SELECTED, "rebinding", "ack"]


@pytest.mark.parametrize("kind", [Udhcpc, Dhclient, Dhcpcd])
def test_released(vnet, leases, node, kind):
    client = kind(node).start()
    client.told(client.BOUND)
    leases.fresh(MAC["a"])
    node.ping(ROUTER)  # dhclient takes the address away before its message would have found the MAC
    client.release()
    client.told(client.RELEASED)
    leases.ended(MAC["a"])
    eventually(lambda: node.addresses(4) == [], what="no address")
    assert talk(vnet, MAC["a"]) == [*SELECTED, "release"]


@pytest.mark.parametrize("kind, options", [(Dhclient, []), (Dhcpcd, ["-1"])])
def test_known_from_an_earlier_life(vnet, leases, node, kind, options):
    """INIT-REBOOT: a client that ended without a word asks for what it remembers."""
    client = kind(node).start(*options)
    client.told(client.BOUND)
    client.says(client.REMEMBERS)
    leases.fresh(MAC["a"])
    client.close()
    leases.aged(MAC["a"])
    client.start(*options)
    assert got(client, client.told("REBOOT")) == given(client)
    assert leases.fresh(MAC["a"]) == ADDRESS["a"]
    node.ping(ROUTER)
    assert talk(vnet, MAC["a"]) == [*SELECTED, "init-reboot", "ack"]


@pytest.mark.parametrize("address", ["10.9.9.9", ADDRESS["b"], ROUTER, "192.168.1.255"])
def test_a_foreign_address_is_denied(vnet, make_node, leases, node, address):
    """Of another network, another client's, the router's, the broadcast address."""
    other = make_node(vnet, MAC["b"], name="b")
    assert other.dhcp() == ADDRESS["b"]
    client = Dhclient(node)
    client.remember(address, ROUTER)
    client.start()
    client.says(f"DHCPNAK from {ROUTER}")
    assert got(client, client.told("BOUND")) == given(client)
    assert leases.fresh(MAC["a"]) == ADDRESS["a"]
    other.ping(ADDRESS["a"])
    said = talk(vnet, MAC["a"])
    assert said[:2] == ["init-reboot", "nak"] and said[-4:] == SELECTED


def statistics(text):
    """perfdhcp's figures by exchange: {"DISCOVER-OFFER": {"drops": "0", …}, …}."""
    parts = re.findall(r"\*\*\*Statistics for: (\S+)\*\*\*\n((?:.+\n)+)", text)
    return {name: dict(re.findall(r"(.+): (.+)", body)) for name, body in parts}


def test_perfdhcp(vnet, make_node, count):
    """It is a relay with a hundred clients behind it."""
    node = make_node(vnet, MAC["b"], name="b")
    node.dhcp()
    exchanges, clients = count(1000, 10000), 100
    done = node.run("perfdhcp", "-4", "-l", NIC, "-r", "250", "-n", exchanges, "-R", clients, "-W",
                    "5000000", "-d", "5", ROUTER, timeout=60 + exchanges / 100)
    figures = statistics(done.stdout)
    assert set(figures) == {"DISCOVER-OFFER", "REQUEST-ACK"}
    for name, these in figures.items():
        assert int(these["sent packets"]) >= exchanges, name
        assert these["received packets"] == these["sent packets"], name
        assert these["drops"] == these["orphans"] == these["rejected leases"] == "0", name
    addresses = [one["address"] for one in vnet.ask("leases")["leases"]]
    assert len(addresses) == len(set(addresses)) == clients + 1
    assert not {"queue-full", "no-buffer", "slow-client", "bad-dhcp", "no-address"} & set(vnet.drops())


def test_nmap(vnet, node):
    assert node.dhcp() == ADDRESS["a"]
    out = node.out("nmap", "-n", "-e", NIC, "--script", "broadcast-dhcp-discover", "--script-args",
                   "broadcast-dhcp-discover.timeout=10")
    found = dict(re.findall(r"^\|_? +([^:]+): (.+)$", out, re.MULTILINE))
    assert found.pop("IP Offered").startswith("192.168.1.")
    assert found.pop("Response 1 of 1", None) is None
    assert found == {"Interface": NIC, "DHCP Message Type": "DHCPOFFER", "Server Identifier": ROUTER,
                     "IP Address Lease Time": "1h00m00s", "Renewal Time Value": "30m00s",
                     "Rebinding Time Value": "52m30s", "Subnet Mask": "255.255.255.0",
                     "Router": ROUTER, "Domain Name Server": ROUTER, "Domain Name": "home.lab",
                     "Interface MTU": "1400"}
    assert [one["mac"] for one in vnet.ask("leases")["leases"]] == [MAC["a"]], "an offer is no lease"
