"""A real network stack as a guest: a network namespace whose interface speaks datagrams.

Run as a program it lives in the namespace, moves frames between a veth's far end and a datagram
socket, and says `ready`. Any user may do so where user namespaces are allowed.
"""
import array
import fcntl
import select
import socket
import struct
import subprocess
import sys

from pathlib import Path

if __package__:
    from .proc import Proc

ETH_P_ALL, PACKET_OUTGOING = 3, 4
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17


class Station:
    """The namespace, seen from a test: run() executes inside."""

    def __init__(self, server, local, mac):
        self.holder = Proc(["unshare", "--user", "--map-root-user", "--net", sys.executable,
                            Path(__file__), server, local, mac])
        self.local = Path(local)
        try:
            self.holder.expect("ready")
        except AssertionError:
            self.close()
            raise

    def argv(self, *argv):
        return ["nsenter", "--target", str(self.holder.pid), "--user", "--net",
                "--preserve-credentials", "--", *map(str, argv)]

    def run(self, *argv):
        return subprocess.run(self.argv(*argv), check=True, text=True, capture_output=True).stdout

    def address(self, cidr):
        self.run("ip", "address", "add", cidr, "dev", "eth0")

    def close(self):
        self.holder.close()
        self.local.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def checksums_in_software(interface):
    """A veth leaves checksums to nobody, which the far end would see as wrong ones."""
    value = array.array("B", struct.pack("=II", ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, request)


def make_interface(mac):
    def ip(*args):
        subprocess.run(["ip", *args], check=True)
    ip("link", "add", "eth0", "address", mac, "type", "veth", "peer", "name", "wire")
    checksums_in_software("eth0")
    ip("link", "set", "wire", "addrgenmode", "none", "up")
    ip("link", "set", "eth0", "addrgenmode", "none", "up")
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind(("wire", 0))
    return wire


def main(server, local, mac):
    wire = make_interface(mac)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    link.bind(local)
    print("ready", flush=True)
    while True:
        ready = select.select([wire, link, sys.stdin], [], [])[0]
        if sys.stdin in ready:
            return  # the test is gone
        if wire in ready:
            frame, origin = wire.recvfrom(65536)
            if origin[2] != PACKET_OUTGOING:
                try:
                    link.sendto(frame, server)
                except OSError:
                    pass  # no server, or a full one: a wire loses frames
        if link in ready:
            wire.send(link.recv(65536))


if __name__ == "__main__":
    main(*sys.argv[1:])
