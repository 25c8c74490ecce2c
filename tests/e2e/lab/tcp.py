"""A small TCP server: segments in, segments out, time passed in.

Port 7777 echoes every line; the line `who` is answered with the connection's number instead, and
`bye` closes from this side. What is not acknowledged is sent again for ever, so that a connection
survives a guest that is away for as long as it likes. Data is taken in order only; a hole is answered
with the acknowledgement wanted, which makes the peer send again.
"""
import random
from dataclasses import dataclass, field

from .packet import ACK, FIN, PSH, RST, SYN, Tcp

RTO_FIRST, RTO_MAX = 0.5, 2.0
BURST = 6  # segments in flight; a datagram socket's queue often holds no more than 10 frames
WRAP = 1 << 32


def distance(a, b):
    """How far sequence number a is behind b; negative when it is ahead."""
    return (b - a + (1 << 31)) % WRAP - (1 << 31)


@dataclass
class Connection:
    number: int
    guest_mac: str
    guest: tuple   # (ip, port)
    server: tuple  # (ip, port)
    rcv_next: int
    una: int = field(default_factory=lambda: random.randrange(WRAP))  # oldest unacknowledged
    out: bytes = b""      # from `una` on, SYN and FIN not counted
    established: bool = False
    fin_wanted: bool = False
    fin_sent: bool = False
    peer_finished: bool = False
    mss: int = 536
    window: int = 536
    line: bytes = b""     # what came in after the last newline
    lines: list = field(default_factory=list)
    rto: float = RTO_FIRST
    resend_at: float = None  # None: nothing outstanding
    sent: int = 0         # bytes of `out` on their way; a resend winds this back
    high: int = 0         # the most that ever was sent from `una` on, FIN counted
    fin_acked: bool = False

    def segment(self, flags, payload=b"", at=0, mss=0):
        return Tcp(self.server[1], self.guest[1], (self.una + at) % WRAP, self.rcv_next, flags,
                   32768, payload, mss)

    def arm(self, now):
        self.resend_at = now + self.rto

    def flush(self, now):
        """Segments for all data the peer's window admits and that is not on its way; a closed window
        is probed with one byte."""
        segments, window = [], min(max(self.window, 1), BURST * self.mss)
        while self.established and self.sent < min(len(self.out), window):
            room = min(self.mss, window - self.sent)
            part = self.out[self.sent:self.sent + room]
            segments.append(self.segment(ACK | PSH, part, self.sent))
            self.sent += len(part)
        if self.fin_wanted and not self.fin_sent and self.sent == len(self.out):
            segments.append(self.segment(ACK | FIN, at=self.sent))
            self.fin_sent = True
        self.high = max(self.high, self.sent + self.fin_sent)
        if segments and self.resend_at is None:
            self.arm(now)
        return segments

    def resend(self, now):
        """Everything outstanding once more, a longer wait before the next time."""
        self.rto = min(self.rto * 2, RTO_MAX)
        self.arm(now)
        if not self.established:
            return [self.segment(SYN | ACK, mss=1460)]
        self.sent, self.fin_sent = 0, False
        return self.flush(now)

    def acknowledge(self, ack, window, now):
        self.window = window
        done = distance(self.una, ack)
        if not self.established:
            if done == 1:
                self.established, self.una, self.resend_at = True, ack, None
            return
        if not 0 < done <= self.high:
            return
        self.fin_acked = done > len(self.out)
        self.una, self.out = ack, self.out[done:]
        self.sent, self.high = max(self.sent - done, 0), self.high - done
        self.rto = RTO_FIRST
        self.resend_at = now + self.rto if self.high else None

    @property
    def over(self):
        return self.fin_acked and self.peer_finished

    def take(self, payload):
        """Data of the guest: one answer for each whole line."""
        self.rcv_next = (self.rcv_next + len(payload)) % WRAP
        *whole, self.line = (self.line + payload).split(b"\n")
        for line in whole:
            self.lines.append(line.decode(errors="replace"))
            if line == b"bye":
                self.fin_wanted = True
            if line == b"who":
                line = f"connection {self.number}".encode()
            self.say(line)

    def say(self, line):
        if not self.fin_wanted:
            self.out += line + b"\n"


class TcpServer:
    """All connections of one server. handle() and tick() return (connection, Tcp) pairs to send."""

    PORTS = (7777,)

    def __init__(self):
        self.connections = {}
        self.made = 0

    def handle(self, guest_mac, guest_ip, server_ip, seg, now):
        key = (guest_ip, seg.sport, server_ip, seg.dport)
        conn = self.connections.get(key)
        if seg.flags & RST:
            self.connections.pop(key, None)
            return []
        if seg.flags & SYN and seg.dport in self.PORTS:
            return self.on_syn(key, conn, guest_mac, seg, now)
        if conn is None:
            stranger = Connection(0, guest_mac, key[:2], key[2:], 0, una=seg.ack)
            stranger.rcv_next = (seg.seq + len(seg.payload) + bool(seg.flags & (SYN | FIN))) % WRAP
            return [(stranger, stranger.segment(RST | ACK))]
        conn.guest_mac = guest_mac
        if seg.flags & ACK:
            conn.acknowledge(seg.ack, seg.window, now)
        answers = self.receive(conn, seg) + conn.flush(now)
        if conn.over:
            del self.connections[key]
        return [(conn, answer) for answer in answers]

    def on_syn(self, key, conn, guest_mac, seg, now):
        if conn is None or conn.established:  # an old connection of a guest that booted anew
            self.made += 1
            conn = Connection(self.made, guest_mac, key[:2], key[2:], (seg.seq + 1) % WRAP)
            conn.mss = seg.mss or 536
            self.connections[key] = conn
        conn.window = seg.window
        conn.arm(now)
        return [(conn, conn.segment(SYN | ACK, mss=1460))]

    @staticmethod
    def receive(conn, seg):
        """Takes what is new and in order; the acknowledgement, where one is owed."""
        if not seg.payload and not seg.flags & FIN:
            return []
        skip = distance(seg.seq, conn.rcv_next)
        if 0 <= skip <= len(seg.payload):
            conn.take(seg.payload[skip:])
            if seg.flags & FIN and not conn.peer_finished:
                conn.rcv_next = (conn.rcv_next + 1) % WRAP
                conn.peer_finished = conn.fin_wanted = True
        return [conn.segment(ACK, at=conn.sent + conn.fin_sent)]

    def tick(self, now):
        return [(conn, seg) for conn in list(self.connections.values())
                if conn.resend_at is not None and conn.resend_at <= now
                for seg in conn.resend(now)]

    def next_timer(self):
        return min((c.resend_at for c in self.connections.values() if c.resend_at is not None),
                   default=None)

    def say(self, text, now):
        """A line of our own to every guest connected."""
        pairs = []
        for conn in self.connections.values():
            conn.say(text.encode())
            pairs += [(conn, seg) for seg in conn.flush(now)]
        return pairs
