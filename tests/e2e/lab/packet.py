"""Ethernet, ARP, IPv4, ICMP, UDP, TCP and DHCP as bytes, and back.

Addresses are strings as people write them. `parse` raises Malformed for anything short, lying or
with a wrong checksum, so that a test never takes a broken frame for a good one.
"""
import socket
import struct
from dataclasses import dataclass, field

BROADCAST = "ff:ff:ff:ff:ff:ff"
ETH_IPV4, ETH_ARP, ETH_RARP = 0x0800, 0x0806, 0x8035
ICMP, TCP, UDP = 1, 6, 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Malformed(ValueError):
    """These bytes are not what they claim to be."""


def mac_bytes(text):
    return bytes(int(octet, 16) for octet in text.split(":"))


def mac_text(raw):
    return ":".join(f"{octet:02x}" for octet in raw)


def ip_bytes(text):
    return socket.inet_aton(text)


def ip_text(raw):
    return socket.inet_ntoa(raw)


def checksum(data):
    """The Internet checksum (RFC 1071); over data that holds a right one it is 0."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(src, dst, proto, length):
    return ip_bytes(src) + ip_bytes(dst) + struct.pack("!BBH", 0, proto, length)


def need(data, size, what):
    if len(data) < size:
        raise Malformed(f"{what}: {len(data)} bytes, {size} needed")


@dataclass(frozen=True)
class Ether:
    dst: str
    src: str
    kind: int
    payload: bytes

    @classmethod
    def parse(cls, data):
        need(data, 14, "Ethernet")
        return cls(mac_text(data[:6]), mac_text(data[6:12]), struct.unpack("!H", data[12:14])[0],
                   data[14:])

    def pack(self):
        return mac_bytes(self.dst) + mac_bytes(self.src) + struct.pack("!H", self.kind) + self.payload


@dataclass(frozen=True)
class Arp:
    op: int  # 1 request, 2 reply
    sender_mac: str
    sender_ip: str
    target_mac: str
    target_ip: str

    HEAD = struct.pack("!HHBB", 1, ETH_IPV4, 6, 4)

    @classmethod
    def parse(cls, data):
        need(data, 28, "ARP")
        if data[:6] != cls.HEAD:
            raise Malformed("ARP: not IPv4 over Ethernet")
        return cls(struct.unpack("!H", data[6:8])[0], mac_text(data[8:14]), ip_text(data[14:18]),
                   mac_text(data[18:24]), ip_text(data[24:28]))

    def pack(self):
        return (self.HEAD + struct.pack("!H", self.op) + mac_bytes(self.sender_mac)
                + ip_bytes(self.sender_ip) + mac_bytes(self.target_mac) + ip_bytes(self.target_ip))


@dataclass(frozen=True)
class Ipv4:
    src: str
    dst: str
    proto: int
    payload: bytes
    ttl: int = 64

    @classmethod
    def parse(cls, data):
        need(data, 20, "IPv4")
        head = (data[0] & 15) * 4
        total, fragment = struct.unpack("!H", data[2:4])[0], struct.unpack("!H", data[6:8])[0]
        if data[0] >> 4 != 4 or head < 20 or not head <= total <= len(data):
            raise Malformed("IPv4: version or length")
        if checksum(data[:head]):
            raise Malformed("IPv4: header checksum")
        if fragment & 0x3FFF:
            raise Malformed("IPv4: a fragment")
        return cls(ip_text(data[12:16]), ip_text(data[16:20]), data[9], data[head:total], data[8])

    def pack(self):
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(self.payload), 0, 0x4000, self.ttl,
                           self.proto, 0) + ip_bytes(self.src) + ip_bytes(self.dst)
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + self.payload


@dataclass(frozen=True)
class Icmp:
    kind: int  # 8 echo request, 0 echo reply
    code: int
    ident: int
    seq: int
    payload: bytes = b""

    @classmethod
    def parse(cls, data):
        need(data, 8, "ICMP")
        if checksum(data):
            raise Malformed("ICMP: checksum")
        kind, code, _, ident, seq = struct.unpack("!BBHHH", data[:8])
        return cls(kind, code, ident, seq, data[8:])

    def pack(self):
        def with_sum(value):
            return struct.pack("!BBHHH", self.kind, self.code, value, self.ident,
                               self.seq) + self.payload
        return with_sum(checksum(with_sum(0)))


@dataclass(frozen=True)
class Udp:
    sport: int
    dport: int
    payload: bytes

    @classmethod
    def parse(cls, data, src, dst):
        need(data, 8, "UDP")
        sport, dport, length, total = struct.unpack("!HHHH", data[:8])
        if not 8 <= length <= len(data):
            raise Malformed("UDP: length")
        if total and checksum(pseudo_header(src, dst, UDP, length) + data[:length]):
            raise Malformed("UDP: checksum")
        return cls(sport, dport, data[8:length])

    def pack(self, src, dst):
        length = 8 + len(self.payload)
        head = struct.pack("!HHH", self.sport, self.dport, length)
        total = checksum(pseudo_header(src, dst, UDP, length) + head + b"\0\0" + self.payload)
        return head + struct.pack("!H", total or 0xFFFF) + self.payload


@dataclass(frozen=True)
class Tcp:
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int = 65535
    payload: bytes = b""
    mss: int = 0  # the option; 0: absent

    @classmethod
    def parse(cls, data, src, dst):
        need(data, 20, "TCP")
        sport, dport, seq, ack, offset, flags, window = struct.unpack("!HHIIBBH", data[:16])
        head = (offset >> 4) * 4
        if not 20 <= head <= len(data):
            raise Malformed("TCP: header length")
        if checksum(pseudo_header(src, dst, TCP, len(data)) + data):
            raise Malformed("TCP: checksum")
        return cls(sport, dport, seq, ack, flags & 0x3F, window, data[head:],
                   cls.find_mss(data[20:head]))

    @staticmethod
    def find_mss(options):
        at = 0
        while at < len(options) and options[at] != 0:
            if options[at] == 1:
                at += 1
                continue
            if at + 1 >= len(options) or options[at + 1] < 2 or at + options[at + 1] > len(options):
                raise Malformed("TCP: options")
            if options[at] == 2 and options[at + 1] == 4:
                return struct.unpack("!H", options[at + 2:at + 4])[0]
            at += options[at + 1]
        return 0

    def pack(self, src, dst):
        options = struct.pack("!BBH", 2, 4, self.mss) if self.mss else b""
        offset = (20 + len(options)) // 4 << 4

        def with_sum(value):
            return struct.pack("!HHIIBBHHH", self.sport, self.dport, self.seq, self.ack, offset,
                               self.flags, self.window, value, 0) + options + self.payload
        raw = with_sum(0)
        return with_sum(checksum(pseudo_header(src, dst, TCP, len(raw)) + raw))


@dataclass(frozen=True)
class Dhcp:
    op: int  # 1 from a client, 2 from a server
    xid: int
    mac: str
    options: dict = field(default_factory=dict)  # number -> bytes
    flags: int = 0
    ciaddr: str = "0.0.0.0"
    yiaddr: str = "0.0.0.0"

    COOKIE = b"\x63\x82\x53\x63"
    MESSAGE, SERVER, WANTED = 53, 54, 50
    DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

    @property
    def message(self):
        return self.options.get(self.MESSAGE, b"\0")[0]

    @classmethod
    def parse(cls, data):
        need(data, 240, "DHCP")
        if data[236:240] != cls.COOKIE:
            raise Malformed("DHCP: cookie")
        return cls(data[0], struct.unpack("!I", data[4:8])[0], mac_text(data[28:34]),
                   cls.parse_options(data[240:]), struct.unpack("!H", data[10:12])[0],
                   ip_text(data[12:16]), ip_text(data[16:20]))

    @staticmethod
    def parse_options(data):
        options, at = {}, 0
        while at < len(data) and data[at] != 255:
            if data[at] == 0:
                at += 1
                continue
            if at + 1 >= len(data) or at + 2 + data[at + 1] > len(data):
                raise Malformed("DHCP: options")
            options[data[at]] = data[at + 2:at + 2 + data[at + 1]]
            at += 2 + data[at + 1]
        return options

    def pack(self):
        head = struct.pack("!BBBBIHH", self.op, 1, 6, 0, self.xid, 0, self.flags)
        head += ip_bytes(self.ciaddr) + ip_bytes(self.yiaddr) + bytes(8)
        head += mac_bytes(self.mac) + bytes(10 + 64 + 128) + self.COOKIE
        options = b"".join(bytes([k, len(v)]) + v for k, v in self.options.items())
        return (head + options + b"\xff").ljust(300, b"\0")  # BOOTP clients want 300 bytes


def ip_frame(src_mac, dst_mac, src, dst, proto, payload):
    """A whole Ethernet frame around one IPv4 payload."""
    return Ether(dst_mac, src_mac, ETH_IPV4, Ipv4(src, dst, proto, payload).pack()).pack()


def parse_ipv4(frame):
    """The (Ether, Ipv4) of a frame, or None where it is not good IPv4."""
    try:
        ether = Ether.parse(frame)
        return (ether, Ipv4.parse(ether.payload)) if ether.kind == ETH_IPV4 else None
    except Malformed:
        return None
