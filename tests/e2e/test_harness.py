"""The harness against itself, hand-made frames, and a real network stack: no VM is needed."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from lab import packet, router
from lab.confined import Confined
from lab.console import PROMPT, Closed, Console
from lab.ext4 import check, find_offset
from lab.net import Server
from lab.packet import ACK, FIN, PSH, RST, SYN, Arp, Dhcp, Ether, Icmp, Ipv4, Malformed, Tcp, Udp
from lab.proc import Proc
from lab.station import Station
from lab.tcp import TcpServer
from lab.wait import eventually
from lab.world import World

MAC, IP = "52:cc:cc:cc:cc:07", "192.168.77.107"


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="tmself", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
def net(place):
    with Server(place / "net") as server:
        yield server


class Guest:
    """The other end of a datagram server: a socket of our own."""

    def __init__(self, path, server):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(10)
        self.sock.bind(str(path))
        self.server = str(server.path)

    def send(self, frame):
        self.sock.sendto(frame, self.server)

    def ask(self, frame):
        self.send(frame)
        return Ether.parse(self.sock.recv(65536))

    def ask_ip(self, proto, payload, dst=router.IP):
        answer = Ipv4.parse(self.ask(packet.ip_frame(MAC, router.MAC, IP, dst, proto, payload)).payload)
        assert (answer.src, answer.dst, answer.proto) == (dst, IP, proto)
        return answer

    def hears_nothing(self):
        self.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.sock.recv(65536)
        self.sock.settimeout(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


@pytest.fixture
def guest(place, net):
    with Guest(place / "guest", net) as other:
        yield other


# Bytes


def test_checksum_is_that_of_rfc_1071():
    assert packet.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
    assert packet.checksum(b"\x01") == 0xFEFF


def test_everything_packed_parses_to_itself():
    arp = Arp(1, MAC, IP, "00:00:00:00:00:00", router.IP)
    assert Arp.parse(arp.pack()) == arp
    icmp = Icmp(8, 0, 7, 9, b"odd")
    assert Icmp.parse(icmp.pack()) == icmp
    udp = Udp(68, 67, b"hello")
    assert Udp.parse(udp.pack(IP, router.IP), IP, router.IP) == udp
    tcp = Tcp(1000, 7777, 1, 2, SYN, 100, b"x", 1460)
    assert Tcp.parse(tcp.pack(IP, router.IP), IP, router.IP) == tcp
    ip = Ipv4(IP, router.IP, packet.UDP, b"payload")
    assert Ipv4.parse(ip.pack() + b"padding") == ip
    dhcp = Dhcp(1, 77, MAC, {53: b"\x01", 50: b"\x01\x02\x03\x04"}, 0x8000, "1.2.3.4", "5.6.7.8")
    assert Dhcp.parse(dhcp.pack()) == dhcp


@pytest.mark.parametrize("parse, good", [
    (Arp.parse, Arp(1, MAC, IP, MAC, IP).pack()),
    (Ipv4.parse, Ipv4(IP, IP, 6, b"abcd").pack()),
    (Icmp.parse, Icmp(8, 0, 1, 1, b"abcd").pack()),
    (lambda raw: Udp.parse(raw, IP, IP), Udp(1, 2, b"abcd").pack(IP, IP)),
    (lambda raw: Tcp.parse(raw, IP, IP), Tcp(1, 2, 3, 4, ACK, payload=b"abcd").pack(IP, IP)),
    (Dhcp.parse, Dhcp(1, 7, MAC, {53: b"\x01"}).pack()[:260]),
])
def test_bad_bytes_are_malformed_and_nothing_else(parse, good):
    parse(good)
    for size in range(len(good)):
        try:
            parse(good[:size])
        except Malformed:
            pass
    for at in range(len(good)):
        try:
            parse(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1:])
        except Malformed:
            pass
    with pytest.raises(Malformed):
        parse(good[:7])


@pytest.mark.parametrize("raw, parse", [
    (Ipv4(IP, IP, 6, b"abcd").pack(), Ipv4.parse),
    (Icmp(8, 0, 1, 1, b"abcd").pack(), Icmp.parse),
    (Udp(1, 2, b"abcd").pack(IP, IP), lambda raw: Udp.parse(raw, IP, IP)),
    (Tcp(1, 2, 3, 4, ACK).pack(IP, IP), lambda raw: Tcp.parse(raw, IP, IP)),
])
def test_one_flipped_bit_is_noticed(raw, parse):
    at = 7 if len(raw) < 20 else 16
    with pytest.raises(Malformed):
        parse(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])


# The server, hand-made frames


def test_arp_is_answered_for_the_router_only(guest):
    def who_has(ip):
        return Ether(packet.BROADCAST, MAC, packet.ETH_ARP,
                     Arp(1, MAC, IP, "00:00:00:00:00:00", ip).pack()).pack()
    guest.send(who_has("192.168.77.2"))
    answer = guest.ask(who_has(router.IP))
    assert (answer.dst, answer.src) == (MAC, router.MAC)
    assert Arp.parse(answer.payload) == Arp(2, router.MAC, router.IP, MAC, IP)
    guest.hears_nothing()


def dhcp_ask(guest, message, options=None, flags=0):
    ask = Dhcp(1, 0xABCD, MAC, {53: bytes([message])} | (options or {}), flags)
    udp = Udp(68, 67, ask.pack()).pack("0.0.0.0", "255.255.255.255")
    ether = guest.ask(packet.ip_frame(MAC, packet.BROADCAST, "0.0.0.0", "255.255.255.255", packet.UDP,
                                      udp))
    ip = Ipv4.parse(ether.payload)
    return ether, Dhcp.parse(Udp.parse(ip.payload, ip.src, ip.dst).payload)


def test_dhcp_gives_the_address_of_the_mac(guest, net):
    _, offer = dhcp_ask(guest, Dhcp.DISCOVER)
    assert (offer.message, offer.yiaddr, offer.xid, offer.mac) == (Dhcp.OFFER, IP, 0xABCD, MAC)
    ether, ack = dhcp_ask(guest, Dhcp.REQUEST, {50: packet.ip_bytes(IP), 54: offer.options[54]})
    assert (ack.message, ack.yiaddr, ether.dst) == (Dhcp.ACK, IP, MAC)
    assert ack.options[51] == (3600).to_bytes(4, "big")
    assert ack.options[3] == ack.options[6] == packet.ip_bytes(router.IP)
    assert ack.options[1] == packet.ip_bytes("255.255.255.0")
    assert net.router.leases == {MAC: IP}


def test_dhcp_refuses_another_address_and_heeds_the_broadcast_flag(guest):
    ether, nak = dhcp_ask(guest, Dhcp.REQUEST, {50: packet.ip_bytes("10.0.0.1")})
    assert (nak.message, ether.dst) == (Dhcp.NAK, packet.BROADCAST)
    ether, _ = dhcp_ask(guest, Dhcp.DISCOVER, flags=0x8000)
    assert ether.dst == packet.BROADCAST


def test_icmp_and_udp_echo(guest):
    answer = guest.ask_ip(packet.ICMP, Icmp(8, 0, 5, 6, b"abc").pack())
    assert Icmp.parse(answer.payload) == Icmp(0, 0, 5, 6, b"abc")
    answer = guest.ask_ip(packet.UDP, Udp(4000, 7, b"abc").pack(IP, router.IP))
    assert Udp.parse(answer.payload, router.IP, IP) == Udp(7, 4000, b"abc")


def test_what_is_off_stays_silent(place):
    off = ("arp", "dhcp", "icmp", "udp", "tcp")
    with Server(place / "mute", off=off) as net, Guest(place / "g", net) as guest:
        frames = [
            Ether(packet.BROADCAST, MAC, packet.ETH_ARP, Arp(1, MAC, IP, MAC, router.IP).pack()).pack(),
            packet.ip_frame(MAC, router.MAC, IP, router.IP, packet.ICMP, Icmp(8, 0, 1, 1).pack()),
            packet.ip_frame(MAC, router.MAC, IP, router.IP, packet.UDP,
                            Udp(1, 7, b"x").pack(IP, router.IP)),
            packet.ip_frame(MAC, router.MAC, IP, router.IP, packet.TCP,
                            Tcp(1, 7777, 0, 0, SYN).pack(IP, router.IP)),
            packet.ip_frame(MAC, packet.BROADCAST, "0.0.0.0", "255.255.255.255", packet.UDP,
                            Udp(68, 67, Dhcp(1, 1, MAC, {53: b"\x01"}).pack())
                            .pack("0.0.0.0", "255.255.255.255"))]
        for frame in frames:
            guest.send(frame)
        net.wait_frame(lambda seen: seen.data == frames[-1])
        guest.hears_nothing()


def test_frames_are_recorded_with_time_and_peer(guest, net, place):
    guest.send(b"too short for Ethernet")
    net.wait_frame()
    mark = net.mark()
    guest.send(b"")
    seen = net.wait_frame(since=mark)
    assert (seen.data, seen.peer, seen.src) == (b"", str(place / "guest"), None)
    with pytest.raises(AssertionError, match="no sign of a frame"):
        net.wait_frame(timeout=0.01, since=net.mark())
    net.forget()
    assert net.mark() == 0


def test_restart_and_a_death_that_leaves_the_socket(guest, net):
    echo = packet.ip_frame(MAC, router.MAC, IP, router.IP, packet.ICMP, Icmp(8, 0, 1, 1).pack())
    net.close(unlink=False)
    with pytest.raises(ConnectionRefusedError):
        guest.send(echo)
    os.unlink(net.path)
    net.open()
    assert guest.ask(echo).src == router.MAC
    inode = os.stat(net.path).st_ino, net.sock
    net.restart()
    assert guest.ask(echo).src == router.MAC
    assert inode != (os.stat(net.path).st_ino, net.sock)
    net.close()
    with pytest.raises(FileNotFoundError):
        guest.send(echo)


def test_a_wedged_server_blocks_its_sender_and_recovers(guest, net):
    net.blackhole(True)
    guest.send(b"until here the thread may still read")
    guest.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(10000):
            guest.send(b"x" * 1000)
    held = net.mark()
    net.blackhole(False)
    net.wait_frame(since=held)


def test_connect_back_hears_one_guest_until_its_socket_is_gone(place):
    with Server(place / "net", connect_back=True) as net:
        with Guest(place / "a", net) as a, Guest(place / "b", net) as b:
            a.send(b"first")
            net.wait_frame()
            with pytest.raises(PermissionError):
                b.send(b"refused")
            echo = packet.ip_frame(MAC, router.MAC, IP, router.IP, packet.ICMP, Icmp(8, 0, 1, 1).pack())
            assert a.ask(echo).src == router.MAC
            os.unlink(place / "a")
            deadline = threading.Event()
            while True:
                try:
                    b.send(b"welcome")
                    break
                except PermissionError:
                    assert not deadline.wait(0.05)
            net.wait_frame(lambda seen: seen.data == b"welcome")


# TCP, by hand where the kernel would never do so


class Segments:
    """One connection's client side, made by hand; time is ours."""

    def __init__(self):
        self.server, self.seq = TcpServer(), 1000
        (_, reply), = self.give(Tcp(5000, 7777, self.seq, 0, SYN, mss=1000), 0)
        assert (reply.flags, reply.ack) == (SYN | ACK, 1001)
        self.seq, self.ack = 1001, (reply.seq + 1) % (1 << 32)
        assert self.give(self.data(b""), 0) == []

    def give(self, seg, now):
        return self.server.handle(MAC, IP, router.IP, seg, now)

    def data(self, payload, flags=ACK, window=65535):
        return Tcp(5000, 7777, self.seq, self.ack, flags, window, payload)

    def say(self, payload, now=0, **options):
        """Sends it; the data and the flags that came back at once."""
        answers = self.give(self.data(payload, **options), now)
        self.seq += len(payload)
        return b"".join(seg.payload for _, seg in answers), [seg.flags for _, seg in answers]

    def took(self, size, now=0):
        self.ack = (self.ack + size) % (1 << 32)
        return self.give(self.data(b""), now)


def test_tcp_sends_again_until_it_is_acknowledged():
    peer = Segments()
    assert peer.say(b"hello\n")[0] == b"hello\n"
    assert peer.server.next_timer() == 0.5
    assert peer.server.tick(0.4) == []
    now, sent = 0.5, 0
    while now < 100:  # a guest that was saved for long
        sent += [seg.payload for _, seg in peer.server.tick(now)].count(b"hello\n")
        now = peer.server.next_timer()
    assert sent > 40
    assert peer.took(6, now) == []
    assert peer.server.next_timer() is None


def test_tcp_takes_data_once_and_in_order():
    peer = Segments()
    late = peer.data(b"one\n")
    peer.seq += 4
    (_, dup), = peer.give(peer.data(b"two\n"), 0)
    assert dup.ack == late.seq and not dup.payload
    assert peer.give(late, 0)[-1][1].payload == b"one\n"
    (_, dup), = peer.give(late, 0)
    assert dup.ack == peer.seq
    (connection,) = peer.server.connections.values()
    assert connection.lines == ["one"]


def test_tcp_heeds_window_and_segment_size():
    peer = Segments()
    line = b"x" * 2499 + b"\n"
    data, _ = peer.say(line, window=1500)
    assert len(data) == 1500
    answers = peer.took(1500)
    assert b"".join(seg.payload for _, seg in answers) == line[1500:]
    assert all(len(seg.payload) <= 1000 for _, seg in answers)


def test_tcp_probes_a_closed_window():
    peer = Segments()
    assert peer.say(b"hello\n", window=0)[0] == b"h"
    assert [seg.payload for _, seg in peer.server.tick(1)] == [b"h"]


def test_tcp_closes_from_either_side_and_resets_strangers():
    peer = Segments()
    data, flags = peer.say(b"last\n", flags=ACK | FIN)
    assert data == b"last\n" and flags[-1] == ACK | FIN
    peer.seq += 1
    peer.took(6)
    assert not peer.server.connections

    peer = Segments()
    _, flags = peer.say(b"bye\n")
    assert flags[-1] == ACK | FIN
    peer.took(1)
    peer.say(b"", flags=ACK | FIN)
    assert not peer.server.connections

    _, flags = peer.say(b"who is there\n")
    assert flags == [RST | ACK]
    peer = Segments()
    peer.say(b"", flags=RST)
    assert not peer.server.connections


# A real network stack


@pytest.fixture
def station(place, net):
    with Station(net.path, place / "station", MAC) as other:
        other.address(f"{IP}/24")
        yield other


CLIENT = """
import socket, sys
s = socket.create_connection(("192.168.77.1", 7777), timeout=20)
f = s.makefile("rw")
for line in sys.stdin:
    f.write(line); f.flush()
    print(f.readline(), end="", flush=True)
"""
PINGER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
s.settimeout(20)
s.sendto(bytes.fromhex("0800f7fd00010001"), ("192.168.77.1", 0))
while True:
    answer = s.recv(100)[20:]
    if answer == bytes.fromhex("0000fffd00010001"):
        break
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(20)
u.sendto(b"hello", ("192.168.77.1", 7))
assert u.recv(100) == b"hello"
"""


def test_a_kernel_resolves_pings_and_is_pinged(station, net):
    station.run(sys.executable, "-c", PINGER)
    assert router.MAC in station.run("ip", "neighbour", "show")
    assert net.ping(IP) < 30
    net.forget()
    station.run("ip", "neighbour", "flush", "dev", "eth0")
    station.run(sys.executable, "-c", PINGER)
    assert net.ping(IP) < 30


def test_a_kernels_tcp_connection_survives_a_server_that_was_away(station, net):
    with Proc(station.argv(sys.executable, "-c", CLIENT)) as client:
        client.say("hello\n")
        assert client.line() == "hello"
        net.close()
        client.say("are you there\n")
        assert not client.ends_within(1)
        net.open()
        assert client.line() == "are you there"
        client.say("who\n")
        assert client.line() == "connection 1"
        big = "x" * 300_000
        client.say(big + "\n")
        assert client.line() == big
        net.say("not asked for")
        client.say("next\n")
        assert client.line() == "not asked for"
        client.child.stdin.close()
        client.child.stdin = open(os.devnull, "wb")
        assert client.wait() == 0
    eventually(lambda: all(c.peer_finished for c in list(net.router.tcp.connections.values())),
               what="the end of the connection")


# Processes, consoles, worlds, file systems


def test_a_childs_lines_signals_and_end():
    with Proc(["sh", "-c", "echo one; echo two >&2; read x; echo got $x; trap 'exit 7' TERM; "
               "echo trap; while :; do read y || sleep 0.1; done"]) as child:
        assert child.line() == "one"
        child.say("it\n")
        assert child.expect(r"got (\w+)")[1] == "it"
        child.expect("trap\n")
        assert not child.ends_within(0.01)
        child.signal(signal.SIGTERM)
        assert child.wait() == 7
        assert child.err == "two\n"
    with Proc(["sleep", "1000"]) as child, pytest.raises(AssertionError, match="no 'x'"):
        child.expect("x", timeout=0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def fake_guest(path):
    """A shell on a terminal behind a unix socket, as a guest's serial console is."""
    program = (f"import os, pty, socket\nl = socket.socket(socket.AF_UNIX)\nl.bind({str(path)!r})\n"
               "l.listen()\nprint('ready', flush=True)\nc = l.accept()[0]\nos.dup2(c.fileno(), 0)\n"
               "os.dup2(c.fileno(), 1)\nos.environ['PS1'] = 'tiny# '\npty.spawn(['sh', '-i'])")
    return Proc([sys.executable, "-c", program])


def test_the_console_frames_commands(place):
    with fake_guest(place / "console") as shell:
        shell.expect("ready")
        with Console(str(place / "console")) as console:
            assert console.sh("echo hello") == "hello"
            assert console.sh("printf 'no newline'") == "no newline"
            assert console.sh("printf 'a\\nb\\n'") == "a\nb"
            assert console.run("false") == (1, "")
            assert console.sh("it=\"it's\"; echo \"$it\"") == "it's"
            assert console.sh("echo $it") == "it's"
            assert console.sh("sleep 1000 & echo $!").splitlines()[-1].isdigit()
            assert console.sh("kill -9 $!; echo " + PROMPT + "x").splitlines()[-1] == PROMPT + "x"
            with pytest.raises(AssertionError, match="exit code 3"):
                console.sh("(exit 3)")
            console.type("exit\n")
            with pytest.raises(Closed):
                console.expect("never")


def test_a_world_notices_what_is_left():
    world = World(image=None)
    leaks = [Proc(["sh", "-c", "echo up; read never"], env=world.env),
             Proc(["sh", "-c", "echo up; read never", "sh", world.id("a")])]
    for leak in leaks:
        leak.expect("up")
    Path(world.nic_socket(world.id("a"))).touch()
    (world.bundle / ".new-x").touch()
    (world.runtime / f"{world.id('a')}.ctl").touch()
    try:
        assert set(world.processes()) == {leak.pid for leak in leaks}
        found = world.leftovers(patience=0)
        assert len(found) == 5, found
    finally:
        for leak in leaks:
            leak.close()
        Path(world.nic_socket(world.id("a"))).unlink()
        shutil.rmtree(world.dir)


def test_a_confined_directory_fills_up(place):
    inside = Confined(place, "1m")
    try:
        ballast = inside.fill(leave=64 * 1024)
        inside.run("sh", "-c", 'head -c 60000 /dev/zero > "$1/fits"', "sh", place)
        with pytest.raises(subprocess.CalledProcessError):
            inside.run("sh", "-c", 'head -c 60000 /dev/zero > "$1/does-not"', "sh", place)
        assert (inside.root / str(place)[1:] / "fits").stat().st_size == 60000
        inside.run("rm", ballast)
    finally:
        inside.close()
    assert not list(place.iterdir())


def test_a_file_system_is_found_and_its_damage_too(place):
    image = place / "Disk.img"
    with image.open("wb") as f:
        f.truncate(8 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True)
    assert find_offset(image) == 0
    check(image)
    with image.open("r+b") as f:  # the first group's inode bitmap and what follows
        f.seek(64 * 1024)
        found = re.search(rb"\0+[^\0]", f.read(1 << 20))
        f.seek(64 * 1024)
        f.write(b"\xff" * (found.end() + 4096))
    with pytest.raises(AssertionError, match="e2fsck"):
        check(image)
