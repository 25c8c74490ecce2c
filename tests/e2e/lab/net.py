"""A datagram server as a guest's socket NIC sees it: one Ethernet frame in each datagram.

It records every frame, answers as the router does, and can misbehave on purpose: vanish, come back,
forget, stop reading.
"""
import contextlib
import ctypes
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass

from . import packet, router
from .packet import Arp, Ether, Icmp, Malformed

AF_UNSPEC = 0
PATROL = 0.2  # seconds between looks at whether a connected guest still is the one there


@dataclass(frozen=True)
class Seen:
    """One frame that arrived."""
    time: float  # monotonic
    peer: str    # the sender's socket path
    data: bytes

    @property
    def ether(self):
        try:
            return Ether.parse(self.data)
        except Malformed:
            return None

    @property
    def src(self):
        return self.ether.src if self.ether else None


def disconnect(sock):
    """Ends a datagram socket's connection; Python's connect() cannot say AF_UNSPEC."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(sock.fileno(), struct.pack("=H14x", AF_UNSPEC), 16) < 0:
        raise OSError(ctypes.get_errno(), "connect(AF_UNSPEC)")


def birth(path):
    """What tells a socket's file from the next one at its path, whose inode may be the same again."""
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns


class Server:
    """A server at `path`. With connect_back the socket is connected to the first guest that speaks,
    so that it hears only that one and no queue length bounds what the guest may have in flight."""

    def __init__(self, path, connect_back=False, off=()):
        self.path, self.connect_back = str(path), connect_back
        self.router = router.Router(off)
        self.changed = threading.Condition()  # guards everything below
        self.frames, self.peers, self.undelivered = [], {}, 0
        self.sock = self.thread = self.partner = None
        self.deaf = False
        self.open()

    # Life

    def open(self):
        assert self.sock is None, "the server is open already"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind(self.path)
        self.bell, bell_end = socket.socketpair()
        self.thread = threading.Thread(target=self.serve, args=(self.sock, bell_end), daemon=True)
        self.thread.start()

    def close(self, unlink=True):
        """Ends the server; unlink=False leaves a dead socket file behind, as kill -9 does."""
        if self.sock is None:
            return
        self.bell.close()
        self.thread.join()
        self.sock.close()
        self.sock = self.partner = None
        if unlink and os.path.exists(self.path):
            os.unlink(self.path)

    def restart(self):
        """A new process at the same path: a new socket; what was learned is kept, see forget()."""
        self.close()
        self.open()

    def forget(self):
        """Loses peers, leases, TCP connections and recorded frames."""
        with self.changed:
            self.router.forget()
            self.frames, self.peers = [], {}

    def blackhole(self, on):
        """A wedged server: its socket stays, nobody reads."""
        self.deaf = on
        self.bell.send(b".")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # The thread

    def serve(self, sock, bell):
        with bell:
            while True:
                inputs = [bell] if self.deaf else [bell, sock]
                ready = select.select(inputs, [], [], self.patience())[0]
                if bell in ready and not bell.recv(64):
                    return
                with self.changed:
                    if sock in ready:
                        self.drain(sock)
                    if not self.deaf:
                        self.deliver(self.router.tick(time.monotonic()))
                    self.look_after_partner()

    def patience(self):
        timer = None if self.deaf else self.router.tcp.next_timer()
        wait = None if timer is None else max(timer - time.monotonic(), 0)
        if self.partner is None:
            return wait
        return PATROL if wait is None else min(wait, PATROL)

    def drain(self, sock):
        for _ in range(256):
            try:
                data, peer = sock.recvfrom(65536)
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            self.on_frame(data, peer or "")

    def on_frame(self, data, peer):
        seen = Seen(time.monotonic(), peer, data)
        self.frames.append(seen)
        if seen.src:
            self.peers[seen.src] = peer
        if self.connect_back and peer and self.partner is None:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):  # it is gone already
                self.sock.connect(peer)
                self.partner = (peer, birth(peer))
        self.deliver(self.router.handle(data, seen.time))
        self.changed.notify_all()

    def look_after_partner(self):
        """A connected socket refuses everybody else; let go of a guest whose socket is no more."""
        if self.partner is None:
            return
        peer, born = self.partner
        try:
            if birth(peer) == born:
                return
        except FileNotFoundError:
            pass
        self.partner = None
        disconnect(self.sock)

    def deliver(self, frames):
        for frame in frames:
            dst = packet.mac_text(frame[:6])
            known = [self.peers[dst]] if dst in self.peers else []
            for peer in known or set(self.peers.values()):
                if not self.send(peer, frame):
                    self.undelivered += 1

    # What tests ask

    def send(self, peer, frame):
        """One datagram to a socket path; whether the kernel took it."""
        try:
            if self.partner and self.partner[0] == peer:
                self.sock.send(frame)
            else:
                self.sock.sendto(frame, peer)
        except OSError:
            return False
        return True

    def mark(self):
        """A point in time for wait_frame(since=…)."""
        with self.changed:
            return len(self.frames)

    def wait_frame(self, pred=lambda seen: True, timeout=60, since=0, what="a frame"):
        """The first frame from `since` on for which pred(seen) holds."""
        deadline, at = time.monotonic() + timeout, since
        with self.changed:
            while True:
                for seen in self.frames[at:]:
                    if pred(seen):
                        return seen
                at = max(len(self.frames), since)
                left = deadline - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    raise AssertionError(f"{self.path}: no sign of {what} in {timeout} s; seen: "
                                         + self.summary(since))

    def summary(self, since=0):
        kinds = {}
        for seen in self.frames[since:]:
            ether = seen.ether
            key = f"{ether.src} {ether.kind:#06x} from {seen.peer}" if ether else f"{seen.data!r}"
            kinds[key] = kinds.get(key, 0) + 1
        return ", ".join(f"{n} × {key}" for key, n in kinds.items()) or "nothing"

    def wait_from(self, mac, timeout=60, since=0):
        """The first of the guest's own frames (RARP is QEMU's, not the guest's)."""
        return self.wait_frame(lambda s: s.src == mac and s.ether.kind != packet.ETH_RARP, timeout,
                               since, f"frames of {mac}")

    def ping(self, ip, timeout=30):
        """An echo request to a guest, repeated each second until the answer; the seconds it took."""
        start, since, ident = time.monotonic(), self.mark(), int.from_bytes(os.urandom(2), "big")

        def answered(seen):
            found = packet.parse_ipv4(seen.data)
            if not found or found[1].src != ip or found[1].proto != packet.ICMP:
                return False
            try:
                icmp = Icmp.parse(found[1].payload)
            except Malformed:
                return False
            return icmp.kind == 0 and icmp.ident == ident

        for seq in range(max(int(timeout), 1)):
            with self.changed:
                if not self.has_mac_of(ip, 1):
                    continue
                self.deliver([self.echo_request(ip, ident, seq)])
            try:
                return self.wait_frame(answered, 1, since).time - start
            except AssertionError:
                continue
        raise AssertionError(f"{self.path}: {ip} does not answer a ping in {timeout} s; seen: "
                             + self.summary(since))

    def has_mac_of(self, ip, timeout):
        """Asks for a guest's MAC where it is not known yet, and waits for the answer."""
        if ip not in self.router.macs:
            ask = Arp(1, router.MAC, router.IP, "00:00:00:00:00:00", ip)
            self.deliver([Ether(packet.BROADCAST, router.MAC, packet.ETH_ARP, ask.pack()).pack()])
        return self.changed.wait_for(lambda: ip in self.router.macs, timeout)

    def echo_request(self, ip, ident, seq):
        return packet.ip_frame(router.MAC, self.router.macs[ip], router.IP, ip, packet.ICMP,
                               Icmp(8, 0, ident, seq, b"tailmac").pack())

    def say(self, text):
        """A line to every TCP connection."""
        with self.changed:
            self.deliver(self.router.say(text, time.monotonic()))
        self.bell.send(b".")  # a timer may have been set
