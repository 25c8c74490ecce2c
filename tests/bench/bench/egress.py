"""The way out of a lab beside QEMU's user-mode network: one guest with a NIC on each, one server on the
host's loopback."""
import contextlib
import socket
import statistics
import time

from .place import TIMEOUT, need
from .relay import VNET, Vnet
from .table import Figure

FLOOR = 1.0
MIB = 1 << 20
AMOUNT = 32 * MIB
MTUS = (1500, 9000)  # of the lab; QEMU's network has 1500
SITE, THEIRS = "5.0.0.1", "10.0.2.2"  # the server, by the lab and by QEMU
ROUTER = "192.168.52.1"
LAB = """
networks: { net: { lan: %s/24, mtu: %d } }
internet: { forward: { "%s:80": "127.0.0.1:%d" } }
"""


class Server:
    """Sends and takes AMOUNT. A download ends when it is known here that the guest has read all of it
    and closed, an upload when its end has come."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.sock.settimeout(TIMEOUT)
        self.port = self.sock.getsockname()[1]
        self.data, self.buffer = bytes(AMOUNT), bytearray(MIB)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, conn):
        conn.sendall(self.data)
        conn.shutdown(socket.SHUT_WR)
        conn.recv(1)

    def take(self, conn):
        count = 0
        while got := conn.recv_into(self.buffer):
            count += got
        if count != AMOUNT:
            raise RuntimeError(f"{count} bytes came")

    def rate(self, work):
        conn, _ = self.sock.accept()
        with conn:
            conn.settimeout(TIMEOUT)
            start = time.monotonic()
            work(conn)
            return AMOUNT / MIB / (time.monotonic() - start)


class Guest:
    """Has both NICs: eth0 is QEMU's, eth1 the lab's."""

    def __init__(self, place, vm_id, server):
        self.place, self.id, self.server = place, vm_id, server

    def sh(self, command):
        return self.place.tailmac("exec", self.id, "--", "sh", "-c", command)

    def configure(self, mtu):
        self.sh(f"ip link set eth1 mtu {mtu}; ip route replace {SITE} via {ROUTER}")

    def wait_addresses(self):
        for i in range(2):
            self.sh(f"until ip -4 addr show eth{i} | grep -q global; do sleep 0.1; done")

    def download(self, host, port):
        return self.run(f"nc {host} {port} -e dd bs=64k of=/dev/null", self.server.send)

    def upload(self, host, port):
        return self.run(f"nc {host} {port} -e dd bs=64k count={AMOUNT >> 16} if=/dev/zero", self.server.take)

    def run(self, command, work):
        self.sh(f"{command} >/dev/null 2>&1 </dev/null &")
        return self.server.rate(work)


@contextlib.contextmanager
def guest(place, server, mtu):
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Vnet(place, "egress", count=0, lab=LAB % (ROUTER, mtu, SITE, server.port)))
        vm_id = place.vm("egress")
        stack.callback(place.tailmac, "delete", vm_id)
        stack.enter_context(place.running(vm_id, "--attach-network", lab.dir / "net"))
        vm = Guest(place, vm_id, server)
        vm.wait_addresses()
        vm.configure(mtu)
        yield vm


def compare(vm, what, work, rounds):
    figure = Figure(f"egress, {what}", "QEMU's user network", FLOOR, unit="MiB/s", more=True)
    for i in range(rounds):
        figure.round(i, lambda: work(SITE, 80), lambda: work(THEIRS, vm.server.port))
    return figure


def measure(place, rounds, figures, progress):
    need(VNET, "run make first")
    for mtu in MTUS:
        with Server() as server, guest(place, server, mtu) as vm:
            for name, work in {"download": vm.download, "upload": vm.upload}.items():
                figure = compare(vm, f"{name}, MTU {mtu}", work, rounds)
                figures.append(figure)
                progress(f"{figure.what}: {statistics.median(figure.ours):.0f} MiB/s, "
                         f"QEMU's {statistics.median(figure.theirs):.0f}")
