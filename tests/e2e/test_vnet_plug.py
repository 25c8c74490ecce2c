"""`vnet plug` against a vnet that the test plays: its TAP is handed over, works, ends with it."""
import os
import signal
import struct
import subprocess

import pytest

from lab import packet
from lab.fakevnet import FakeVnet
from lab.netns import Namespace
from lab.proc import Proc
from lab.wait import SOON, eventually, gone

MAC, OURS = "52:cc:cc:cc:cc:07", "192.168.0.107"
ROUTER = ("52:ee:ee:ee:ee:01", "192.168.0.1")
NO_VNET, USAGE, FAILED, EXISTS, HOST_CANNOT = 6, 2, 1, 4, 8


class Plugger:
    """Starts `vnet plug` in the test's namespace, or beside it."""

    def __init__(self, world, program, vnet, space):
        self.world, self.program, self.vnet, self.space = world, program, vnet, space

    def argv(self, *args):
        mac = [] if "--mac" in args else ["--mac", MAC]
        return [self.program, "plug", *mac, "--listen", self.vnet.path, *args]

    def inside(self, *args):
        return self.world.keep(self.space.spawn(*self.argv(*args)))

    def outside(self, *args):
        return self.world.keep(Proc(self.argv(*args), env=self.world.env))

    def refused(self, *args, before=()):
        """Exit code and message of one that must fail at once; `before` goes before the program."""
        done = self.space.run(*before, *self.argv(*args), check=False)
        assert done.stdout == ""
        return done.returncode, done.stderr

    def address(self, name="tap0"):
        self.space.run("ip", "address", "add", f"{OURS}/24", "dev", name)


@pytest.fixture
def place(world):
    yield world
    complaints = world.end()
    assert not complaints, "left behind:\n" + "\n".join(complaints)


@pytest.fixture
def vnet(place):
    return place.keep(FakeVnet(place.sock("net")))


@pytest.fixture
def space(place):
    return place.keep(Namespace(place))


@pytest.fixture
def plug(place, binaries, vnet, space):
    return Plugger(place, binaries / "vnet", vnet, space)


def udp(frame):
    """The payload of a UDP datagram from the namespace with good checksums, else None."""
    parsed = packet.parse_ipv4(frame)
    if not parsed or parsed[1].proto != packet.UDP or parsed[1].src != OURS:
        return None
    return packet.Udp.parse(parsed[1].payload, parsed[1].src, parsed[1].dst).payload


def say(space, text):
    """A UDP datagram to the router, whose MAC is known for good."""
    space.run("ip", "neighbour", "replace", ROUTER[1], "lladdr", ROUTER[0], "dev", "tap0", "nud",
              "permanent")
    space.run("python3", "-c", "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM);"
              "s.sendto(sys.argv[2].encode(), (sys.argv[1], 9))", ROUTER[1], text)


def test_what_is_handed_over(plug, vnet, space):
    proc = plug.inside("--name", "c", "--network", "home", "--tap", "c0")
    asked = vnet.asked()
    assert asked.request["verb"] == "plug"
    assert asked.request["args"] == {"kind": "tap", "tap": "c0", "mac": MAC, "name": "c",
                                     "network": "home"}
    assert "UP" not in space.link("c0")["flags"]  # nothing is sent before somebody hears it
    asked.accept(mtu=1400, network="home")
    assert proc.line() == "vnet: plugged c0 into home"
    link = space.link("c0")
    assert (link["address"], link["mtu"]) == (MAC, 1400)
    assert {"UP", "LOWER_UP"} <= set(link["flags"])


def test_name_and_network_are_vnets_choice(plug, vnet, space):
    proc = plug.inside()
    asked = vnet.asked()
    assert asked.request["args"] == {"kind": "tap", "tap": "tap0", "mac": MAC}
    asked.accept()
    assert proc.line() == "vnet: plugged tap0 into lab"
    second = plug.inside("--mac", "52:cc:cc:cc:cc:08")
    vnet.plugged()
    assert second.line() == "vnet: plugged tap1 into lab"
    assert space.link("tap0")["mtu"] == 1500


def test_frames_pass_both_ways(plug, vnet):
    plug.inside()
    wire = vnet.plugged()
    eventually(lambda: plug.space.link("tap0")["flags"].count("UP"))
    plug.address()
    assert wire.resolve(ROUTER, OURS) == MAC
    ping = packet.Icmp(8, 0, 7, 1, b"x" * 1000).pack()
    wire.send(packet.ip_frame(ROUTER[0], MAC, ROUTER[1], OURS, packet.ICMP, ping))
    plug.space.run("ip", "neighbour", "replace", ROUTER[1], "lladdr", ROUTER[0], "dev", "tap0")

    def pong(frame):
        parsed = packet.parse_ipv4(frame)
        return parsed and parsed[1].proto == packet.ICMP and packet.Icmp.parse(parsed[1].payload)
    assert wire.find(pong) == packet.Icmp(0, 0, 7, 1, b"x" * 1000)


def test_frames_are_complete_and_no_longer_than_the_mtu(plug, vnet):
    """No checksum and no segmentation is left to do for a NIC that is none."""
    proc = plug.inside()
    wire = vnet.plugged(mtu=1400)
    proc.expect("plugged")
    plug.address()
    say(plug.space, "short")
    assert wire.find(udp) == b"short"
    say(plug.space, "x" * 5000)
    lengths = []

    def last_fragment(frame):
        if frame[12:14] == b"\x08\x00":
            lengths.append(len(frame) - 14)
        return frame[12:14] == b"\x08\x00" and struct.unpack("!H", frame[20:22])[0] & 0x2000 == 0
    wire.find(last_fragment)
    assert len(lengths) == 4 and max(lengths) <= 1400


def test_vnet_comes_back(plug, vnet, space):
    proc = plug.inside()
    wire = vnet.plugged()
    proc.expect("plugged")
    plug.address()
    assert wire.resolve(ROUTER, OURS) == MAC
    vnet.go_away()
    proc.until(lambda: "vnet went away; tap0 waits for it\n" in proc.err, "word of it", SOON)
    link = space.link("tap0")
    assert {"UP", "LOWER_UP"} <= set(link["flags"])  # nobody pulled a cable
    say(space, "lost")
    vnet.come_back()
    wire = vnet.plugged()
    proc.until(lambda: "plugged tap0 into lab again\n" in proc.err, "word of it", SOON)
    say(space, "found")
    assert wire.find(udp) == b"found"
    assert wire.resolve(ROUTER, OURS) == MAC
    assert space.link("tap0")["ifindex"] == link["ifindex"]
    assert proc.out.count("\n") == 1


def test_a_refusal_by_a_vnet_that_came_back_is_told_once(plug, vnet):
    proc = plug.inside()
    vnet.plugged()
    proc.expect("plugged")
    vnet.go_away()
    vnet.come_back()
    for _ in range(3):
        vnet.asked().refuse("usage", "no network 'lab'")
    vnet.plugged()
    proc.until(lambda: "again\n" in proc.err, "word of it", SOON)
    assert proc.err.count("cannot plug tap0 in: no network 'lab'\n") == 1, proc.err


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 0), (signal.SIGINT, 0),
                                          (signal.SIGKILL, -signal.SIGKILL)])
def test_the_interface_ends_with_it(place, vnet, space, plug, number, code):
    proc = plug.outside("--netns", space.pid)
    wire = vnet.plugged()
    proc.expect("plugged")
    proc.signal(number)
    assert proc.wait() == code
    assert wire.connection.recv(1) == b""  # that is how vnet knows
    assert space.link("tap0")              # as long as vnet has it
    wire.close()
    assert not space.link("tap0")


def test_a_removed_interface_is_the_end(plug, vnet, space):
    proc = plug.inside()
    vnet.plugged()
    proc.expect("plugged")
    space.run("ip", "link", "set", "tap0", "down")  # that is none
    space.run("ip", "link", "set", "tap0", "up")
    space.run("ip", "link", "delete", "tap0")
    assert proc.wait() == FAILED
    assert proc.err == "vnet: interface 'tap0' was removed\n"


def test_a_namespace_by_pid_and_by_path(plug, vnet, space):
    for which in str(space.pid), f"/proc/{space.pid}/ns/net":
        proc = plug.outside("--netns", which)
        vnet.plugged()
        proc.expect("plugged tap0")
        assert space.link("tap0")["address"] == MAC
        proc.interrupt()
        assert proc.wait() == 0
        vnet.wires.pop().close()


def test_a_namespace_by_name(plug, vnet, space):
    space.run("ip", "netns", "add", "blue")
    space.run("ip", "netns", "add", "42")  # rather a name than a pid
    for name in "blue", "42":
        proc = plug.inside("--netns", name)
        vnet.plugged()
        proc.expect("plugged tap0")
        assert space.link("tap0", "ip", "netns", "exec", name)["address"] == MAC
        assert not space.link("tap0")
        proc.interrupt()
        assert proc.wait() == 0
        vnet.wires.pop().close()


def test_going_to_the_background(plug, vnet, space):
    starter = plug.inside("--detach")
    asked = vnet.asked()
    assert starter.child.poll() is None  # not before it is plugged in
    asked.accept()
    assert starter.wait() == 0
    assert starter.out == "vnet: plugged tap0 into lab\n"
    pid = asked.client
    assert space.link("tap0")
    os.kill(pid, signal.SIGTERM)
    assert gone(pid, SOON)


def test_what_fails_in_the_background_fails_in_front(plug, vnet):
    starter = plug.inside("--detach")
    vnet.asked().refuse("exists", "there is a node 'c'")
    assert starter.wait() == EXISTS
    assert starter.err == "vnet: there is a node 'c'\n"


def test_a_vnet_that_dies_while_it_is_asked(plug, vnet):
    proc = plug.inside()
    vnet.asked().close()
    assert proc.wait() == NO_VNET
    assert "vnet ended before it answered 'plug'" in proc.err


def test_without_vnet(plug, vnet):
    vnet.go_away()
    assert plug.refused() == (NO_VNET, f"vnet: no vnet listens at {vnet.path}.ctl\n")


@pytest.mark.parametrize("args, code, message", [
    (["--mac", "52:cc:cc:cc:cc"], USAGE, "MAC address '52:cc:cc:cc:cc' is not of the form"),
    (["--mac", "01:00:5e:00:00:01"], USAGE, "not a unicast address"),
    (["--tap", "sixteen-letters!"], USAGE, "1 to 15 characters"),
    (["--tap", "tap%d"], USAGE, "interface name 'tap%d' is not valid"),
    (["--tap", "lo"], EXISTS, "there is an interface 'lo' already"),
    (["--netns", "nowhere"], FAILED, "(/run/netns/nowhere): No such file"),
    (["--netns", "/nowhere"], FAILED, "(/nowhere): No such file"),
    (["--netns", "4194304"], FAILED, "(/proc/4194304/ns/net): No such file"),
    (["--netns", "/dev/null"], USAGE, "'/dev/null' is no network namespace"),
    (["--netns", "/proc/self/ns/mnt"], USAGE, "is no network namespace"),
    (["--netns", "/proc/1/ns/net"], None, "/proc/1/ns/net"),
    (["--name", "\udcff"], USAGE, "no UTF-8"),
    (["more"], USAGE, "an argument too many: more"),
    (["--bogus"], USAGE, "unknown option"),
])
def test_what_cannot_be(plug, args, code, message):
    found, said = plug.refused(*args)
    assert message in said
    assert found == code if code else found in (FAILED, HOST_CANNOT)


def test_without_a_mac(plug):
    done = plug.space.run(plug.program, "plug", check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (USAGE, "vnet: --mac is missing")


def test_without_the_capability(plug):
    """A user namespace in which we are nobody: its programs have no capabilities."""
    code, said = plug.refused(before=["unshare", "--user"])
    assert code == HOST_CANNOT
    assert "needs CAP_NET_ADMIN" in said and "unshare -rn" in said


def test_without_tun(plug, space):
    space.run("mount", "-t", "tmpfs", "none", "/dev/net")
    code, said = plug.refused()
    assert code == HOST_CANNOT
    assert "no TAP interfaces here" in said


def test_help(plug):
    done = subprocess.run([plug.program, "plug", "--help"], check=True, text=True,
                          capture_output=True)
    assert done.stdout.startswith("Usage: vnet plug --mac MAC")
