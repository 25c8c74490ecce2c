"""What Tailscale's natlab lets its guests see, once more through vnet's sockets: whoever wrote guests
for that network finds this one to be the same."""
import itertools
import socket
import struct
import subprocess

import pytest

from lab.packet import (BROADCAST, ETH_IPV4, UDP, Dhcp, Ether, Ipv4, Udp, checksum, ip_bytes, ip_frame,
                        mac_bytes)
from lab.wire import Datagram, Stream, dhcp_xid

ETH_IPV6, ICMP6 = 0x86DD, 58
ECHO, ROUTER_SOLICIT, ROUTER_ADVERT, NEIGHBOUR_SOLICIT, NEIGHBOUR_ADVERT = 128, 133, 134, 135, 136
ROUTER, ROUTER_MAC, ROUTER6 = "192.168.0.1", "52:ee:ee:ee:ee:01", "2000:52::1"
ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"
USAGE = 2
RA_DELAY = 500  # ms at most (RFC 4861, 6.2.6)
LAB = f"""
networks:
  home: {{ lan: 192.168.0.1/24, lan6: "2000:52::1/64", dns: {{ split.test: 192.168.0.80 }} }}
  four: {{ lan: 10.4.0.1/16, dns: {{ other.test: 10.4.0.80, bare: 10.4.0.81 }} }}
  six:  {{ lan6: "2000:6::1/64" }}
nodes:
  a: {{ network: home }}
  b: {{ network: home, ip6: "2000:52::b" }}
  c: {{ network: four }}
  d: {{ network: four, link: {{ up: {{ delay: {RA_DELAY + 100}ms }} }} }}
  e: {{ network: six }}
  f: {{ network: six }}
"""
NUMBERS = {name: number for number, name in enumerate("abcdef", 1)}
MARKS = itertools.count(1)


@pytest.fixture
def vnet(make_vnet, world):
    return make_vnet(lab=LAB, args=["--listen-stream", world.sock("stream")])


def datagram(world, vnet, name):
    return Datagram(NUMBERS[name], vnet.path, world.sock(name), connected=True)


def stream(world, _, name):
    return Stream(NUMBERS[name], world.sock("stream"))


PROTOCOLS = [datagram, stream]


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.__name__)
def client(request, world, vnet):
    """client(name) → that node of the lab, whose MAC vnet knows."""
    return lambda name: known(vnet, world.keep(request.param(world, vnet, name)))


def known(vnet, one):
    one.send(Ether(one.mac, one.mac, ETH_IPV4, b"to myself, so that nobody hears it").pack())
    vnet.wait_for(one.mac)
    return one


def until_mark(sender, receiver):
    """The frames that the receiver gets before one that the sender sends now."""
    mark = sender.frame(receiver, b"mark %d" % next(MARKS))
    seen = []
    sender.send(mark)
    receiver.until(lambda frame: frame == mark or seen.append(frame))
    return seen


# IPv6, as far as it is needed here


def link_local(mac):
    o = mac_bytes(mac)
    interface = bytes([o[0] ^ 2, o[1], o[2], 0xFF, 0xFE, o[3], o[4], o[5]])
    return socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + bytes(6) + interface)


def ip6_bytes(text):
    return socket.inet_pton(socket.AF_INET6, text)


def ip6_frame(one, to_mac, to, proto, payload, sum_at):
    """From a client's link-local address; the checksum goes to that offset of the payload."""
    addresses = ip6_bytes(link_local(one.mac)) + ip6_bytes(to)
    total = checksum(addresses + struct.pack("!II", len(payload), proto) + payload) or 0xFFFF
    payload = payload[:sum_at] + struct.pack("!H", total) + payload[sum_at + 2:]
    head = struct.pack("!IHBB", 6 << 28, len(payload), proto, 255) + addresses
    return Ether(to_mac, one.mac, ETH_IPV6, head + payload).pack()


def multicast_mac(address):
    return "33:33:" + ":".join(f"{octet:02x}" for octet in ip6_bytes(address)[12:])


def icmp6(one, to, kind, body, to_mac=None):
    message = struct.pack("!BBH", kind, 0, 0) + body
    return ip6_frame(one, to_mac or multicast_mac(to), to, ICMP6, message, 2)


def source_option(one):
    return b"\x01\x01" + mac_bytes(one.mac)


def router_solicitation(one):
    return icmp6(one, ALL_ROUTERS, ROUTER_SOLICIT, bytes(4) + source_option(one))


def is_icmp6(kind):
    return lambda frame: (frame[12:14] == b"\x86\xdd" and frame[20] == ICMP6 and frame[54] == kind)


def meet_router(one):
    """Both know each other's MAC."""
    ask = bytes(4) + ip6_bytes(ROUTER6) + source_option(one)
    one.send(icmp6(one, "ff02::1:ff00:1", NEIGHBOUR_SOLICIT, ask))
    one.until(is_icmp6(NEIGHBOUR_ADVERT))


# DNS


def query(name, number):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1)


def is_answer(number, at):
    """To the query with that number, its UDP header at that offset."""
    return lambda frame: (frame[at:at + 2] == struct.pack("!H", 53)
                          and frame[at + 8:at + 10] == struct.pack("!H", number))


def address_of(message):
    """Of the one A record of an answer; None for NXDOMAIN."""
    flags, _, answers = struct.unpack("!HHH", message[2:8])
    assert (flags & 15, answers) in ((0, 1), (3, 0))
    return socket.inet_ntoa(message[-4:]) if answers else None


def lookup4(one, name, router=ROUTER, router_mac=ROUTER_MAC, source=None):
    number = next(MARKS)
    source = source or one.ip
    one.resolve(router)  # and so it knows us
    udp = Udp(5353, 53, query(name, number)).pack(source, router)
    one.send(ip_frame(one.mac, router_mac, source, router, UDP, udp))
    frame = one.until(is_answer(number, 34))
    packet = Ipv4.parse(Ether.parse(frame).payload)
    return address_of(Udp.parse(packet.payload, packet.src, packet.dst).payload)


def lookup6(one, name):
    number = next(MARKS)
    meet_router(one)
    ask = query(name, number)
    udp = struct.pack("!HHHH", 5353, 53, 8 + len(ask), 0) + ask
    one.send(ip6_frame(one, ROUTER_MAC, ROUTER6, UDP, udp, 6))
    frame = one.until(is_answer(number, 54))
    return address_of(frame[62:])


# The cases


def test_an_unknown_ethertype_is_dropped_and_counted(client, vnet):
    a, b = client("a"), client("b")
    before = vnet.drops().get("ethertype", 0)
    a.send(Ether(b.mac, a.mac, 0x4321, b"x" * 50).pack())
    assert not [frame for frame in until_mark(a, b) if frame[12:14] == b"\x43\x21"]
    assert vnet.drops()["ethertype"] == before + 1


def test_unicast_is_delivered_once(client):
    a, b = client("a"), client("b")
    frame = a.frame(b, b"for b")
    a.send(frame)
    assert until_mark(a, b).count(frame) == 1


def test_broadcast_reaches_the_peer_once_and_never_the_sender(client):
    a, b = client("a"), client("b")
    frame = Ether(BROADCAST, a.mac, ETH_IPV4, b"for all").pack()
    a.send(frame)
    assert until_mark(a, b).count(frame) == 1
    assert frame not in until_mark(b, a)


@pytest.mark.parametrize("lookup", [lookup4, lookup6])
def test_dns_answers_the_labs_names(client, lookup):
    a = client("a")
    assert lookup(a, "b") == "192.168.0.102"
    assert lookup(a, "b.home.internal") == "192.168.0.102"
    assert lookup(a, "nobody.home.internal") is None


def test_a_split_zone_is_its_own_servers(client):
    a, c = client("a"), client("c")
    c.ip = "10.4.0.103"

    def ask(name):
        return lookup4(c, name, "10.4.0.1", "52:ee:ee:ee:ee:02")
    assert ask("other.test") == "10.4.0.80" and lookup4(a, "other.test") is None
    assert ask("bare") == "10.4.0.81" and lookup4(a, "bare") is None
    assert ask("split.test") is None and lookup4(a, "split.test") == "192.168.0.80"


def test_no_advertisement_where_there_is_no_ipv6(client):
    """What d sends now comes after the latest moment for an answer."""
    c, d = client("c"), client("d")
    c.send(router_solicitation(c))
    assert not list(filter(is_icmp6(ROUTER_ADVERT), until_mark(d, c)))


def test_a_router_solicitation_gets_an_advertisement(client):
    a = client("a")
    a.send(router_solicitation(a))
    frame = a.until(is_icmp6(ROUTER_ADVERT))
    assert frame[6:12] == mac_bytes(ROUTER_MAC)
    assert frame[22:38] == ip6_bytes("fe80::1") and frame[21] == 255
    assert b"\x03\x04\x40\xc0" in frame and ip6_bytes("2000:52::") in frame  # on-link, autonomous


def test_an_echo_to_all_nodes_is_flooded(client):
    a, b = client("a"), client("b")
    echo = icmp6(a, ALL_NODES, ECHO, struct.pack("!HH", 7, 1) + b"anybody?")
    a.send(echo)
    assert until_mark(a, b).count(echo) == 1
    assert echo not in until_mark(b, a)


def from_client(frame):
    return frame[12:14] == b"\x08\x00" and frame[34:38] == b"\0\x44\0\x43"


def test_dhcp_one_copy_for_peers_and_one_reply_with_the_fixed_address(client):
    a, b = client("a"), client("b")
    offer = a.dhcp(Dhcp.DISCOVER)
    assert not list(filter(dhcp_xid, until_mark(b, a))), "a second reply"
    assert (offer.message, offer.yiaddr) == (Dhcp.OFFER, "192.168.0.101")
    ack = a.dhcp(Dhcp.REQUEST, SERVER=ip_bytes(ROUTER), WANTED=ip_bytes(offer.yiaddr))
    assert not list(filter(dhcp_xid, until_mark(b, a))), "a second reply"
    assert (ack.message, ack.yiaddr) == (Dhcp.ACK, "192.168.0.101")
    assert len(list(filter(from_client, until_mark(a, b)))) == 2


def test_no_dhcp_where_there_is_no_ipv4(client):
    e, f = client("e"), client("f")
    discover = Dhcp(1, 7, e.mac, {Dhcp.MESSAGE: bytes([Dhcp.DISCOVER])}, flags=0x8000)
    udp = Udp(68, 67, discover.pack()).pack("0.0.0.0", "255.255.255.255")
    e.send(ip_frame(e.mac, BROADCAST, "0.0.0.0", "255.255.255.255", UDP, udp))
    assert len(list(filter(from_client, until_mark(e, f)))) == 1
    assert not list(filter(dhcp_xid, until_mark(f, e)))


@pytest.mark.parametrize("a_speaks", PROTOCOLS)
@pytest.mark.parametrize("b_speaks", PROTOCOLS)
def test_from_a_to_b(world, vnet, a_speaks, b_speaks):
    a, b = (known(vnet, world.keep(speaks(world, vnet, name)))
            for speaks, name in ((a_speaks, "a"), (b_speaks, "b")))
    for one, other in ((a, b), (b, a)):
        for size in (1, 46, 1500):
            frame = one.frame(other, b"\x2a" * size)
            one.send(frame)
            assert until_mark(one, other).count(frame) == 1


def test_a_wan_address_is_one_networks(tm, world, binaries):
    lab = world.dir / "lab.yaml"
    lab.write_text("networks:\n  a: { wan: 2.1.1.1 }\n  b: { wan: 2.1.1.1 }\n")
    for args in (["-n"], ["--listen", world.sock("net")]):
        done = subprocess.run([binaries / "vnet", *args, lab], check=False, text=True,
                              capture_output=True)
        assert done.returncode == USAGE
        assert f"{lab}:3:13: wan: network 'a' has the same WAN address" in done.stderr
