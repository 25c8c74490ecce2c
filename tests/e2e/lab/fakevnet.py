"""A vnet that is told what to answer: the control socket that `vnet plug` hands its TAP to."""
import json
import os
import select
import socket
import struct
import time
from pathlib import Path

from . import packet
from .wait import SOON

HELLO = {"hello": "tailmac-vnet", "version": 1}


class Wire:
    """vnet's side of one plug: the request that brought it, and its frames."""

    def __init__(self, connection, request, tap):
        self.connection, self.request, self.tap = connection, request, tap

    def say(self, answer):
        self.connection.sendall(json.dumps({"id": self.request["id"]} | answer).encode() + b"\n")

    def accept(self, **answer):
        self.say({"ok": {"plug": 1, "network": "lab"} | answer})
        return self

    def refuse(self, code, message):
        self.say({"error": {"code": code, "message": message}})

    @property
    def client(self):
        """The pid of who connected."""
        return struct.unpack("iii", self.connection.getsockopt(socket.SOL_SOCKET,
                                                               socket.SO_PEERCRED, 12))[0]

    def send(self, frame):
        os.write(self.tap, frame)

    def frame(self, timeout=SOON):
        ready = select.select([self.tap], [], [], timeout)[0]
        assert ready, f"no frame within {timeout} s"
        return os.read(self.tap, 65536)

    def find(self, wanted):
        """The first true wanted(frame) of the frames that come; others are passed over."""
        deadline = time.monotonic() + SOON
        while True:
            found = wanted(self.frame(max(deadline - time.monotonic(), 0)))
            if found:
                return found

    def resolve(self, ours, theirs):
        """The MAC that answers for an address, asked by ARP from `ours`, a (MAC, address)."""
        question = packet.Arp(1, *ours, "00:00:00:00:00:00", theirs)
        self.send(packet.Ether(packet.BROADCAST, ours[0], packet.ETH_ARP, question.pack()).pack())

        def answer(frame):
            ether = packet.Ether.parse(frame)
            arp = packet.Arp.parse(ether.payload) if ether.kind == packet.ETH_ARP else None
            return arp and arp.op == 2 and arp.sender_ip == theirs and arp.sender_mac
        return self.find(answer)

    def close(self):
        self.connection.close()
        if self.tap is not None:
            os.close(self.tap)
            self.tap = None


class FakeVnet:
    """Listens at once; nothing happens in the background."""

    def __init__(self, path):
        self.path = path
        self.listener, self.wires = None, []
        self.open()

    def open(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(SOON)
        self.listener.bind(self.path + ".ctl")
        self.listener.listen()

    def asked(self):
        """The next client's request, unanswered, with the TAP that came with it."""
        connection, _ = self.listener.accept()
        connection.settimeout(SOON)
        connection.sendall(json.dumps(HELLO).encode() + b"\n")
        text, taps = b"", []
        while not text.endswith(b"\n"):
            data, fds, _, _ = socket.recv_fds(connection, 65536, 4)
            assert data, f"it went away after {text!r}"
            text, taps = text + data, taps + fds
        assert len(taps) == 1, taps
        self.wires.append(Wire(connection, json.loads(text), taps[0]))
        return self.wires[-1]

    def plugged(self, **answer):
        return self.asked().accept(**answer)

    def go_away(self):
        """As a crash does it: the socket's name stays."""
        for wire in self.wires:
            wire.close()
        self.wires.clear()
        self.listener.close()

    def come_back(self):
        Path(self.path + ".ctl").unlink()
        self.open()

    def close(self):
        self.go_away()
        Path(self.path + ".ctl").unlink(missing_ok=True)
