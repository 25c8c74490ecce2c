"""A client that does its worst: the others do not notice, and vnet's memory has a bound."""
import re
import socket
import struct

import pytest

from lab.wait import SOON

MAC = {"a": "52:cc:cc:cc:cc:01", "b": "52:cc:cc:cc:cc:02"}
ROUTER, BROADCAST = bytes.fromhex("52eeeeeeee01"), b"\xff" * 6
EVIL = bytes.fromhex("0200000000ee")
MEMORY = 160 << 20  # bytes; the frame pools alone are 28 MiB


class Evil:
    """A datagram client."""

    def __init__(self, vnet, name="evil"):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(vnet.world.sock(name))
        self.sock.connect(vnet.path)
        self.sock.settimeout(SOON)

    def send(self, *frames):
        for frame in frames:
            self.sock.send(frame)

    def close(self):
        self.sock.close()


def ether(to, source, kind, payload):
    return to + source + struct.pack("!H", kind) + payload


def checksum(data):
    words = struct.unpack(f"!{len(data) // 2}H", data)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(payload, proto=17, source="192.168.1.66", to="192.168.1.1", fragment=0, ident=7):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, fragment, 64, proto, 0,
                         socket.inet_aton(source), socket.inet_aton(to))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def udp(payload, sport, dport):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def discover(mac):
    bootp = struct.pack("!BBBBIHH4s4s4s4s16s192s", 1, 1, 6, 0, int.from_bytes(mac[2:]), 0, 0x8000,
                        *[b"\0" * 4] * 4, mac, b"")
    dhcp = bootp + bytes.fromhex("63825363 350101 ff")
    return ether(BROADCAST, mac, 0x0800, ipv4(udp(dhcp, 68, 67), source="0.0.0.0",
                                              to="255.255.255.255"))


def mac(number):
    return b"\x02" + number.to_bytes(5, "big")


# What it does: (vnet, evil, count, rng)


def malformed(_, evil, count, rng):
    for _ in range(count):
        kind = rng.choice((0x0800, 0x0806, 0x86DD, 0x4321, rng.randrange(1 << 16)))
        frame = ether(rng.choice((ROUTER, BROADCAST, bytes.fromhex("333300000001"))), EVIL, kind,
                      rng.randbytes(rng.randrange(120)))
        evil.send(frame[:rng.choice((len(frame), rng.randrange(1, len(frame) + 1)))])


def wrong_sizes(_, evil, count, rng):
    for _ in range(count // 10):
        evil.send(b"", b"\0", rng.randbytes(13), EVIL * 10, rng.randbytes(65536), ROUTER + bytes(20000))


def wrong_stream_lengths(vnet, _, count, rng):
    for _ in range(count // 100):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(vnet.path + ".stream")
            stream.sendall(struct.pack("!I", rng.choice((0, 1, 1 << 31, 0xFFFFFFFF, 9231)))
                           + rng.randbytes(100))
            stream.shutdown(socket.SHUT_WR)


def unknown_macs(_, evil, count, __):
    for number in range(20 * count):
        evil.send(ether(ROUTER, mac(number), 0x0800, ipv4(udp(b"", 9, 9))))


def stolen_mac(_, evil, count, __):
    for _ in range(count):
        evil.send(ether(BROADCAST, bytes.fromhex(MAC["a"].replace(":", "")), 0x0800, b"mine"),
                  ether(BROADCAST, ROUTER, 0x0806, b"mine, too"))


def arp_storm(_, evil, count, __):
    for number in range(count):
        target = socket.inet_aton(f"192.168.1.{number % 256}")
        evil.send(ether(BROADCAST, EVIL, 0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1 + number % 2)
                        + EVIL + socket.inet_aton("192.168.1.66") + b"\0" * 6 + target))


def starvation(_, evil, count, __):
    evil.send(*(discover(mac(number)) for number in range(count)))


def overlapping_fragments(_, evil, count, rng):
    for number in range(count):
        offset = rng.randrange(0, 40)
        more = 0x2000 * rng.randrange(2)
        to = rng.choice(("192.168.1.1", "192.168.1.102", "5.0.0.1"))
        evil.send(ether(ROUTER, EVIL, 0x0800, ipv4(rng.randbytes(8 * rng.randrange(1, 40)), to=to,
                                                   fragment=more | offset, ident=number // 4 % 65536)))


def never_read(vnet, _, count, __):
    """Clients that ask and never take the answers."""
    deaf = [Evil(vnet, f"deaf{n}") for n in range(8)]
    for number, one in enumerate(deaf):
        source = b"\x02\0\0\0\1" + bytes([number])
        for _ in range(count // 4):
            one.send(ether(BROADCAST, source, 0x0806, bytes(28)))
    for one in deaf:
        one.close()


ATTACKS = [malformed, wrong_sizes, wrong_stream_lengths, unknown_macs, stolen_mac, arp_storm,
           starvation, overlapping_fragments, never_read]


@pytest.fixture
def vnet(make_vnet, world):
    return make_vnet(lab='networks: { home: { lan: 192.168.1.1/24 } }\nnodes: { a: {}, b: {} }\n',
                     args=["--listen-stream", world.sock("net") + ".stream"])


def came(pinging):
    """The numbers of the answers so far. One may be on its way when ping ends, and counts as lost."""
    while pinging.pump(0):
        pass
    return [int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+) ", pinging.out)]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_the_others_do_not_notice(vnet, make_node, count, rng, attack):
    a, b = (make_node(vnet, MAC[name], name=name) for name in "ab")
    a.dhcp()
    address = b.dhcp()
    times = count(1000, 50000)
    evil = vnet.world.keep(Evil(vnet))
    before = vnet.memory()
    pinging = vnet.world.keep(a.spawn("ping", "-n", "-i", "0.02", address))
    pinging.expect("icmp_seq=1 ")
    attack(vnet, evil, times, rng)
    a.ping("192.168.1.1", size=1400)
    pinging.expect(f"icmp_seq={max(came(pinging)) + 1} ")
    pinging.interrupt()
    assert pinging.wait() == 0
    answers = came(pinging)
    assert answers == list(range(1, len(answers) + 1)), pinging.out[-300:]
    assert a.dhcp() == "192.168.1.101", "known clients get their addresses"
    after = vnet.memory()
    print(f"{attack.__name__}: vnet's memory {before >> 10} KiB before, {after >> 10} KiB after; "
          f"drops {vnet.drops()}")
    assert after < MEMORY
