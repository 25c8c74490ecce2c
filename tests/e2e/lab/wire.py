"""Clients of vnet that are nothing but a socket: every frame in and out is the test's own."""
import contextlib
import itertools
import os
import select
import socket
import struct
import time

from .packet import (BROADCAST, ETH_ARP, UDP, Arp, Dhcp, Ether, Udp, ip_bytes, ip_frame,
                     mac_bytes)
from .wait import SOON

ROUTER = "192.168.0.1"  # of the default lab
PLAIN = 0x0800          # an ethertype that every network carries
MARKS = itertools.count(1)


def node_mac(n):
    return f"52:cc:cc:cc:cc:{n:02x}"


def node_ip(n):
    return f"192.168.0.{100 + n}"


def broadcast(src, payload):
    return Ether(BROADCAST, src, PLAIN, payload).pack()


def dhcp_xid(frame):
    """Of a DHCP server's message, else None."""
    is_it = frame[12:14] == b"\x08\x00" and frame[34:36] == b"\0\x43"
    return struct.unpack("!I", frame[46:50])[0] if is_it else None


class Client:
    """The guest with that number. A frame that is awaited may come after any others."""

    sock = None

    def __init__(self, n):
        self.n, self.mac, self.ip = n, node_mac(n), node_ip(n)

    def frame(self, to, payload):
        return Ether(to.mac, self.mac, PLAIN, payload).pack()

    def until(self, fits, timeout=SOON):
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"client {self.n}: no such frame within {timeout} s"
            self.sock.settimeout(left)
            frame = self.receive()
            if fits(frame):
                return frame

    def resolve(self, address=ROUTER):
        """The router answers: an ARP request, and the reply to it."""
        ask = Arp(1, self.mac, self.ip, "00:00:00:00:00:00", address)
        self.send(Ether(BROADCAST, self.mac, ETH_ARP, ask.pack()).pack())
        answer = self.until(lambda frame: frame[:6] == mac_bytes(self.mac)
                            and frame[12:14] == struct.pack("!H", ETH_ARP))
        return Arp.parse(answer[14:]).sender_mac

    def dhcp(self, message, **options):
        """Asks, as a client without an address does; the reply that comes."""
        options = {Dhcp.MESSAGE: bytes([message])} | {
            getattr(Dhcp, name): value for name, value in options.items()}
        ask = Dhcp(1, next(MARKS), self.mac, options, flags=0x8000)
        udp = Udp(68, 67, ask.pack()).pack("0.0.0.0", "255.255.255.255")
        self.send(ip_frame(self.mac, BROADCAST, "0.0.0.0", "255.255.255.255", UDP, udp))
        return Dhcp.parse(self.until(lambda frame: dhcp_xid(frame) == ask.xid)[42:])

    def lease(self):
        """An address by DHCP."""
        offer = self.dhcp(Dhcp.DISCOVER)
        reply = self.dhcp(Dhcp.REQUEST, SERVER=offer.options[Dhcp.SERVER],
                          WANTED=ip_bytes(offer.yiaddr))
        assert reply.message == Dhcp.ACK
        return reply.yiaddr

    def reaches(self, other):
        """One frame, seen at the other end, whatever was on its way before."""
        mark = b"mark %d " % next(MARKS) + b"." * 60
        self.send(self.frame(other, mark))
        other.until(lambda frame: frame[14:14 + len(mark)] == mark)

    def pending(self):
        return bool(select.select([self.sock], [], [], 0)[0])

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Datagram(Client):
    """A frame a datagram, at `path`; connected to the server's socket, or sending to its path."""

    def __init__(self, n, server, path, connected):
        super().__init__(n)
        self.server, self.path, self.connected = server, str(path), connected
        self.open()

    def open(self):
        self.close()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.sock.bind(self.path)
        if self.connected:
            self.sock.connect(self.server)

    def send(self, frame):
        self.sock.settimeout(SOON)
        if not self.connected:
            self.sock.sendto(frame, self.server)
            return
        try:
            self.sock.send(frame)
        except PermissionError:  # another client spoke first, and the socket is its own now
            self.sock.connect(self.server)
            self.sock.send(frame)

    def receive(self):
        return self.sock.recv(1 << 17)


class Stream(Client):
    """A length and a frame, as QEMU's -netdev stream."""

    def __init__(self, n, server):
        """`server` is a path, or a socket that is connected already."""
        super().__init__(n)
        self.sock = server
        if not isinstance(server, socket.socket):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(server)
        self.data = b""

    def send(self, frame):
        self.sock.sendall(struct.pack("!I", len(frame)) + frame)

    def take(self, size):
        while len(self.data) < size:
            more = self.sock.recv(1 << 16)
            if not more:
                raise ConnectionError("vnet closed the stream")
            self.data += more
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def receive(self):
        return self.take(struct.unpack("!I", self.take(4))[0])
