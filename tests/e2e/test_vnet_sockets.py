"""vnet's sockets with clients that are nothing but a socket: who gets in, who gets which frames, what
becomes of those who stall, vanish, come back or talk nonsense."""
import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from lab.proc import Proc
from lab.vnet import Control, Refused
from lab.wait import SOON, eventually, gone
from lab.wire import PLAIN, Datagram, Stream, broadcast

pytestmark = pytest.mark.usefixtures("tm")  # at whose end nothing may be left
BUSY, USAGE, FAILED, CANNOT = 5, 2, 1, 8
F_OFD_SETLK = 37  # of Linux
ROUTER_MAC = "52:ee:ee:ee:ee:01"
LAB = """
networks:
  home: { lan: 192.168.0.1/24 }
  office: { lan: 10.2.0.1/16 }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01", network: home }
  b: { mac: "52:cc:cc:cc:cc:02", network: office }
default-network: home
unknown-macs: refuse
"""


@pytest.fixture
def vnet(make_vnet, world):
    return make_vnet(args=["--listen-stream", world.sock("stream")])


@pytest.fixture
def client(world, vnet):
    """client(n, connected) → a datagram client."""
    def make(n, connected, path=None):
        return world.keep(Datagram(n, vnet.path, path or world.sock(f"c{n}"), connected))
    return make


@pytest.fixture
def stream(world, vnet):
    return lambda n: world.keep(Stream(n, world.sock("stream")))


@pytest.fixture
def control(vnet):
    return vnet.control()


def slept(pid):
    """How often a process went to sleep."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def introduce(*clients):
    """Each speaks, so that each has its plug and its MAC is known."""
    for one in clients:
        assert one.resolve() == ROUTER_MAC


def introduced(client):
    introduce(client)
    return client


def refused(vnet):
    return vnet.ask("counters")["daemon"]["refused"]


# Who gets in


@pytest.mark.parametrize("kinds", [(True, True), (False, False), (True, False), (False, True),
                                   (True, False, True, False)])
def test_clients_connected_or_not(client, kinds):
    all_of_them = []
    for n, connected in enumerate(kinds, 1):
        all_of_them.append(client(n, connected))
        introduce(all_of_them[-1])
    for one in all_of_them:
        for other in all_of_them:
            if other is not one:
                one.reaches(other)


def test_a_stream_and_a_datagram_client_talk(client, stream):
    one, other = client(1, True), stream(2)
    introduce(one, other)
    one.reaches(other)
    other.reaches(one)


def test_a_broadcast_comes_once_and_not_back(client):
    one, other, third = client(1, True), client(2, False), client(3, True)
    introduce(one, other, third)
    one.send(broadcast(one.mac, b"all of you"))
    one.reaches(other)
    one.reaches(third)
    third.reaches(one)
    for each in (one, other, third):
        assert not each.pending()  # reaches() would have left a second copy; it came before


def test_a_client_that_nothing_can_be_sent_to(client, vnet):
    one = client(1, True)
    introduce(one)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        nameless.sendto(broadcast("52:cc:cc:cc:cc:09", b"from nobody"), vnet.path)
    eventually(lambda: refused(vnet) == {"anonymous": 1})
    introduce(one)


def test_an_abstract_address(vnet, client, world):
    one = client(1, True)
    introduce(one)
    other = client(2, False)
    other.sock.close()
    other.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.sock.bind(f"\0{world.suffix}-abstract")
    introduce(other)
    one.reaches(other)
    assert vnet.link(other.mac)["peer"] == f"@{world.suffix}-abstract"


def test_paths_that_cannot_be_shown(vnet, control, world):
    control.call("events")
    path = world.sock("odd").encode() + b"\xff\n\x1b[2J"
    for n, first in ((1, b"short"), (2, broadcast("52:cc:cc:cc:cc:02", b"hello"))):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as odd:
            odd.bind(path + bytes([n]))
            odd.sendto(first, vnet.path)
            told = control.event("refused" if n == 1 else "plug")
            assert told["peer"] == world.sock("odd") + "???[2J?"


def test_clients_that_connected_before_one_of_them_spoke(client):
    """Two VMs that start at once: only one gets the socket for itself, and the other works, too."""
    one, other, third = client(1, True), client(2, True), client(3, True)
    introduce(one, other)
    late = client(4, True)
    introduce(third, late)
    for a, b in ((one, other), (other, one), (third, other), (late, one), (one, late)):
        a.reaches(b)


def test_a_client_that_connects_itself_later(client, vnet):
    one, other = client(1, False), client(2, True)
    introduce(one, other)
    for kind in (True, False):
        one.sock.connect(vnet.path)  # the public socket is another one by now
        one.send(broadcast(one.mac, b"here"))
        if kind:
            introduce(other)
        other.reaches(one)
        one.reaches(other)


def test_the_lab_says_where(make_vnet, world):
    vnet = make_vnet(lab=LAB)
    at_home = world.keep(Datagram(1, vnet.path, world.sock("c1"), True))
    introduce(at_home)
    at_work = world.keep(Datagram(2, vnet.path, world.sock("c2"), True))
    at_work.send(broadcast(at_work.mac, b"hello"))
    links = eventually(lambda: len(vnet.links()) == 2 and vnet.links())
    assert {name: link["network"] for name, link in links.items()} == {"a": "home", "b": "office"}
    stranger = world.keep(Datagram(3, vnet.path, world.sock("c3"), False))
    stranger.send(broadcast(stranger.mac, b"hello"))
    eventually(lambda: refused(vnet) == {"unknown-mac": 1})
    introduce(at_home)
    assert not at_work.pending()


# Those who stall, flood, and talk nonsense


@pytest.mark.parametrize("connected", [True, False])
def test_a_client_that_never_reads_delays_nobody(client, vnet, connected):
    sender, stalled, good = (introduced(client(n, mode))
                             for n, mode in ((1, True), (2, connected), (3, connected)))

    def slow():
        return next(c for c in vnet.ask("counters")["plugs"]
                    if c["plug"] == plug)["drops"].get("slow-client", 0)
    plug = vnet.link(stalled.mac)["plug"]
    while not slow():
        for _ in range(1000):
            sender.send(sender.frame(stalled, b"x" * 1500))
    memory = vnet.memory()
    for _ in range(50):
        for _ in range(20):
            sender.send(sender.frame(stalled, b"x" * 1500))
        sender.reaches(good)
        good.reaches(sender)
    assert vnet.memory() - memory < 4 << 20
    assert 0 < vnet.link(stalled.mac)["queued"] <= 1024


def test_a_flood_holds_nobody_up(client, vnet):
    """Both flood and its target lose frames; nobody else does."""
    flooder, target, one, other = (client(n, n != 4) for n in (1, 2, 3, 4))
    introduce(flooder, target, one, other)
    flooder.sock.setblocking(False)
    sent = 0
    for _ in range(200):
        with contextlib.suppress(BlockingIOError):
            while sent < 100000:
                flooder.sock.send(flooder.frame(target, b"x" * 46))
                sent += 1
        one.reaches(other)
    assert sent > 1000


def test_many_stalled_clients_leave_buffers_for_others(client, vnet):
    sender, good = client(1, True), client(2, True)
    introduce(sender, good)
    stalled = [client(n, False) for n in range(3, 40)]
    for one in stalled:
        one.send(broadcast(one.mac, b"here"))
    eventually(lambda: vnet.ask("status")["plugs"] == 39)
    for _ in range(1200):
        for one in stalled:
            sender.send(sender.frame(one, b"x" * 1500))
    for _ in range(50):
        sender.reaches(good)
    assert "no-buffer" not in vnet.drops()


def test_frames_of_every_length(client, vnet):
    one, other = client(1, True), client(2, False)
    introduce(one, other)
    one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    before = vnet.drops()
    for size in (0, 1, 13, 65536):
        one.send(b"\x52" * size)
        other.send(b"\x52" * size)
    one.reaches(other)
    other.reaches(one)
    after = vnet.drops()
    assert after["short-frame"] - before.get("short-frame", 0) == 6
    assert after["long-frame"] - before.get("long-frame", 0) == 2
    for payload in (b"", b"x", b"x" * 1500, b"x" * 9216):
        one.send(one.frame(other, payload))
        other.until(lambda frame, want=payload: frame[14:] == want)


def test_a_first_frame_without_a_mac(client, vnet):
    one = client(1, False)
    for nonsense in (b"", b"short", b"\xff" * 60, bytes(60)):
        one.send(nonsense)
    eventually(lambda: refused(vnet) == {"no-mac": 4})
    introduce(one)


def test_a_stream_with_a_wrong_length(stream, client, vnet):
    bad, good, other = stream(1), stream(2), client(3, True)
    introduce(bad, good, other)
    bad.sock.sendall(struct.pack("!I", 1 << 20) + b"x" * 100)
    with pytest.raises(ConnectionError):
        bad.until(lambda frame: False)
    good.reaches(other)
    other.reaches(good)
    early = stream(4)
    early.sock.sendall(b"\xff" * 8)
    with pytest.raises(ConnectionError):
        early.receive()
    assert refused(vnet) == {"length": 2}


def test_a_stream_in_pieces(stream, client):
    one, other = stream(1), client(2, True)
    introduce(other, one)
    frames = [one.frame(other, bytes([n]) * (n * 30)) for n in range(1, 50)]
    data = b"".join(struct.pack("!I", len(frame)) + frame for frame in frames)
    for at in range(0, len(data), 7):
        one.sock.sendall(data[at:at + 7])
    for frame in frames:
        assert other.until(lambda got: got[12:14] == frame[12:14]) == frame


def test_a_stream_that_is_slow_gets_whole_frames(stream, client):
    slow, sender = stream(1), client(2, True)
    introduce(slow, sender)
    for n in range(3000):
        sender.send(sender.frame(slow, struct.pack("!I", n) + b"x" * 1400))
    numbers = [-1]
    while slow.data or slow.pending():
        frame = slow.receive()
        if frame[12:14] == struct.pack("!H", PLAIN):
            assert len(frame) == 14 + 4 + 1400
            numbers.append(struct.unpack("!I", frame[14:18])[0])
    assert numbers == sorted(set(numbers)) and len(numbers) > 100
    sender.reaches(slow)


# Those who go, and come back


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("tidy", [True, False])
def test_a_client_that_goes_is_missed(client, control, vnet, connected, tidy):
    one, other = client(1, True), client(2, connected)
    introduce(one, other)
    control.call("events")
    other.close()
    if tidy:  # nothing is left to ask: only a frame for it shows it
        os.unlink(other.path)
        one.send(broadcast(one.mac, b"anybody?"))
    gone = control.event("unplug")
    assert (gone["name"], gone["kind"]) == (other.mac.replace(":", "-"), "datagram")
    assert vnet.link(other.mac) is None
    introduce(one)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_back_at_the_same_path_the_first_frame_counts(client, before, after):
    one, other = client(1, True), client(2, before)
    introduce(one, other)
    other.connected = after
    other.open()
    introduce(other)
    one.reaches(other)
    other.reaches(one)


def test_a_connected_client_that_sends_to_the_path(client, control, vnet):
    one, other = client(1, True), client(2, False)
    introduce(one, other)
    control.call("events")
    for _ in range(3):
        one.sock.sendto(one.frame(other, b"by the path"), vnet.path)
        other.until(lambda frame: frame[14:] == b"by the path")
        one.reaches(other)
        other.reaches(one)
    assert [link["plug"] for link in control.call("links")["links"]] == [0, 1]
    assert not [event for event in control.events if event["event"] == "unplug"]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("tidy", [True, False])
def test_the_same_mac_from_another_socket(client, vnet, world, before, tidy):
    one, old = client(1, True), client(2, before)
    introduce(one, old)
    old.close()
    if tidy:
        os.unlink(old.path)
    new = client(2, True, path=world.sock("other"))
    introduce(new)
    one.reaches(new)
    eventually(lambda: vnet.ask("status")["plugs"] == 2)


def test_a_mac_that_is_in_use_is_not_taken(client, control, vnet, world):
    one, owner = client(1, True), client(2, True)
    introduce(one, owner)
    control.call("events")
    thief = client(2, True, path=world.sock("thief"))
    thief.send(broadcast(thief.mac, b"I am 2"))
    told = control.event("mac-refused")
    assert told["mac"] == owner.mac and told["from"] == vnet.link(owner.mac)["plug"]
    one.reaches(owner)
    assert vnet.drops()["stolen-mac"] == 1


def test_another_guest_at_the_same_path(make_vnet, world):
    vnet = make_vnet(lab=LAB)
    for connected in (True, False):
        one = world.keep(Datagram(1, vnet.path, world.sock("c"), connected))
        introduce(one)
        assert vnet.link(one.mac)["network"] == "home"
        one.close()
        other = world.keep(Datagram(2, vnet.path, world.sock("c"), connected))
        other.send(broadcast(other.mac, b"hello"))
        assert vnet.wait_for(other.mac)["network"] == "office"
        other.close()


def test_a_stream_that_ends_is_missed(stream, client, control, vnet):
    one, other = client(1, True), stream(2)
    introduce(one, other)
    control.call("events")
    other.close()
    assert control.event("unplug")["kind"] == "stream"
    again = stream(2)
    introduce(again)
    one.reaches(again)


# Private plugs


def private(control, world, n, **args):
    """A private plug: (its answer, a client that is connected both ways)."""
    path = world.sock(f"p{n}")
    one = world.keep(Datagram(n, None, path, False))
    plug = control.call("plug", kind="private", path=path, **args)
    one.connected = True
    one.sock.connect(plug["address"])
    assert control.call("connected", plug=plug["plug"]) == {}
    return plug, one


def test_private_plugs(client, control, vnet, world):
    plug, one = private(control, world, 1, mac="52:cc:cc:cc:cc:01", name="one")
    other = client(2, True)
    introduce(one, other)
    one.reaches(other)
    other.reaches(one)
    assert plug["network"] == "net" and plug["mtu"] == 1500
    link = vnet.links()["one"]
    assert (link["kind"], link["peer"], link["plug"]) == ("private", one.path, plug["plug"])
    control.call("unplug", plug=plug["plug"])
    with pytest.raises(OSError):
        one.send(broadcast(one.mac, b"x"))
    assert not os.path.exists(plug["address"])


def test_a_private_plug_ends_with_its_connection(vnet, world):
    watcher = vnet.control()
    watcher.call("events")
    with contextlib.closing(Control(vnet.path + ".ctl")) as owner:
        _, one = private(owner, world, 1)
        assert watcher.event("plug")["kind"] == "private"
    assert watcher.event("unplug")["reason"] == "its control connection has ended"
    with pytest.raises(OSError):
        one.send(broadcast(one.mac, b"x"))


def test_a_stream_that_is_handed_over(client, control, vnet, world):
    ours, theirs = socket.socketpair()
    with theirs:
        plug = control.call("plug", fds=[theirs.fileno()], kind="stream", path="/a/client", name="one")
    one, other = world.keep(Stream(1, ours)), client(2, True)
    introduce(one, other)
    one.reaches(other)
    other.reaches(one)
    link = vnet.links()["one"]
    assert (link["kind"], link["peer"], link["plug"]) == ("stream", "/a/client", plug["plug"])
    vnet.control().call("unplug", plug=plug["plug"])
    with pytest.raises(ConnectionError):
        one.receive()
    gone = control.event("unplug")  # its owner is told without asking
    assert (gone["plug"], gone["reason"]) == (plug["plug"], "unplugged")


@pytest.mark.parametrize("args, why", [
    ({}, "kind"),
    ({"kind": "wireless"}, "unknown kind"),
    ({"kind": "private"}, "path"),
    ({"kind": "private", "path": 7}, "path"),
    ({"kind": "private", "path": "relative"}, "relative"),
    ({"kind": "private", "path": "/x", "mac": "nonsense"}, "MAC"),
    ({"kind": "private", "path": "/x", "network": "nowhere"}, "nowhere"),
    ({"kind": "private", "path": "/x", "name": "../x"}, "../x"),
    ({"kind": "tap"}, "no descriptor"),
    ({"kind": "stream"}, "path"),
    ({"kind": "stream", "path": "/x"}, "no descriptor"),
])
def test_plugs_that_are_not_possible(control, vnet, args, why):
    with pytest.raises(Refused, match=why) as error:
        control.call("plug", **args)
    assert error.value.code == "usage"
    assert vnet.ask("status")["plugs"] == 0


def test_a_descriptor_that_is_no_tap(control):
    with open("/dev/null", "rb") as null:
        with pytest.raises(Refused, match="no TAP"):
            control.call("plug", fds=[null.fileno()], kind="tap", tap="x", mac="52:cc:cc:cc:cc:01")


def test_a_descriptor_that_is_no_stream(control, vnet):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        with pytest.raises(Refused, match="no stream"):
            control.call("plug", fds=[other.fileno()], kind="stream", path="/x")
    assert vnet.ask("status")["plugs"] == 0


# The control socket


def test_what_the_control_socket_tells(client, control, vnet):
    assert control.hello == {"hello": "tailmac-vnet", "version": 1, "pid": vnet.pid,
                             "listen": vnet.path}
    one = client(1, True)
    introduce(one)
    status = control.call("status")
    assert (status["pid"], status["listen"], status["plugs"]) == (vnet.pid, vnet.path, 1)
    assert (status["lab"], status["capture"]) == (None, None)
    net = status["networks"][0]
    assert (net["name"], net["lan"], net["mtu"], net["plugs"]) == ("net", "192.168.0.1/24", 1500, 1)
    link, = control.call("links")["links"]
    assert link["macs"] == [one.mac] and link["peer"] == one.path and link["queued"] == 0
    assert link["up"] == {"delay_ns": 0, "queue": 0, "down": False}
    plug, = control.call("counters")["plugs"]
    assert plug["frames_in"] == 1 and plug["bytes_in"] == 42 and plug["drops"] == {}
    assert plug["frames_out"] >= 1  # the router may have advertised itself


def test_nonsense_at_the_control_socket(control, client):
    for verb, args in (("nope", {}), ("dns", {}), ("dns", {"network": "net", "fault": "x"}),
                       ("dns", {"network": "x", "fault": "servfail"}), ("unplug", {"plug": 7}),
                       ("unplug", {"plug": -1}), ("unplug", {"plug": 1 << 40}), ("connected", {})):
        with pytest.raises(Refused):
            control.call(verb, **args)
    assert control.call("dns", network="net", fault="servfail") == {}
    one = client(1, True)
    introduce(one)
    with pytest.raises(Refused, match="not private"):
        control.call("connected", plug=0)


def test_shutdown(control, vnet, client):
    introduce(client(1, True))
    assert control.call("shutdown") == {}
    assert vnet.proc.wait() == 0
    assert not [name for name in os.listdir(os.path.dirname(vnet.path))
                if name.startswith("net.sock") and not name.endswith(".leases")]


# More than one life


def test_a_second_one_is_refused(vnet, client, binaries, world):
    one, other = client(1, True), client(2, False)
    introduce(one, other)
    second = world.keep(Proc([binaries / "vnet", "--listen", vnet.path], env=world.env))
    assert second.wait() == BUSY
    assert second.err == f"vnet: another vnet listens at {vnet.path}\n"
    one.reaches(other)
    introduce(other)


def test_the_lock_of_one_that_is_ending_is_waited_for(world, binaries):
    path = world.sock("net")
    with open(path + ".lock", "w", encoding="ascii") as ending:
        fcntl.fcntl(ending, F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))
        vnet = world.keep(Proc([binaries / "vnet", "--listen", path], env=world.env))
        eventually(lambda: slept(vnet.pid) > 10, what="a wait for the lock")
    vnet.expect(f"vnet: listening on {path}\n")


@pytest.mark.parametrize("option", ["--listen", "--control", "--listen-stream"])
def test_somebody_elses_socket_is_left_alone(world, binaries, option):
    kind = socket.SOCK_DGRAM if option == "--listen" else socket.SOCK_STREAM
    path = world.sock("theirs")
    with socket.socket(socket.AF_UNIX, kind) as theirs:
        theirs.bind(path)
        if kind == socket.SOCK_STREAM:
            theirs.listen()
        mine = [] if option == "--listen" else ["--listen", world.sock("mine")]
        proc = world.keep(Proc([binaries / "vnet", *mine, option, path], env=world.env))
        assert proc.wait() == BUSY
        assert proc.err == f"vnet: another program listens at {path}\n"
        assert os.path.exists(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(vnet, client, number):
    introduce(client(1, True))
    vnet.proc.signal(number)
    assert vnet.proc.wait() == 0
    assert not os.path.exists(vnet.path) and not os.path.exists(vnet.path + ".ctl")


@pytest.mark.parametrize("call, error", [
    ("socket", "EMFILE"), ("bind", "ENOSPC"), ("chmod", "EPERM"), ("listen", "EADDRINUSE"),
    ("rename", "EIO")])
def test_a_start_that_fails_leaves_nothing(binaries, world, call, error):
    listen, stream = world.sock("net"), world.sock("stream")
    result = subprocess.run(
        ["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}",
         binaries / "vnet", "--listen", listen, "--listen-stream", stream],
        env=world.env, cwd=world.dir, capture_output=True, text=True, timeout=SOON, check=False)
    assert result.returncode != 0 and result.stdout == ""
    assert result.stderr.startswith("vnet: cannot ") and result.stderr.count("\n") == 1
    assert not list(world.dir.glob("*.sock*"))


@pytest.mark.parametrize("path, why", [("net.sock", "socket path 'net.sock' does not start with /"),
                                       ("/" + 96 * "x", "is longer than 96 bytes")])
def test_a_path_that_cannot_be(binaries, path, why):
    result = subprocess.run([binaries / "vnet", "--listen", path], capture_output=True, text=True,
                            timeout=SOON, check=False)
    assert result.returncode == USAGE and why in result.stderr and ".leases" not in result.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_start_with_closed_descriptors(binaries, world, closed):
    listen = world.sock("net")
    subprocess.run(["sh", "-c", f'"$0" --listen "$1" --detach {closed}', binaries / "vnet", listen],
                   env=world.env, cwd=world.dir, timeout=SOON, check=True)
    with contextlib.closing(Control(listen + ".ctl")) as control:
        control.call("shutdown")
        gone(control.hello["pid"], SOON)


def test_a_start_that_cannot_be_told_is_none(binaries, world):
    """Who waits for the line would wait for ever."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run(
            [binaries / "vnet", "--listen", world.sock("net")], env=world.env, cwd=world.dir,
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=SOON, check=False)
    assert result.returncode == CANNOT
    assert "cannot say that it listens: No space left" in result.stderr
    assert not list(world.dir.glob("*.sock*"))


def test_killed_and_started_again(vnet, client, world):
    one, other = client(1, True), client(2, False)
    introduce(one, other)
    vnet.kill()
    with pytest.raises(OSError):
        one.send(broadcast(one.mac, b"x"))
    vnet.start()
    one.open()
    introduce(one, other)  # who is not connected needs to do nothing
    one.reaches(other)
    other.reaches(one)


def test_private_addresses_of_a_killed_one_are_removed(vnet, world):
    control = vnet.control()
    plugs = [private(control, world, n)[0] for n in (1, 2)]
    vnet.kill()
    assert all(os.path.exists(plug["address"]) for plug in plugs)
    vnet.start()
    assert not any(os.path.exists(plug["address"]) for plug in plugs)


def leases(vnet):
    return {(lease["mac"], lease["address"]) for lease in vnet.ask("leases")["leases"]
            if lease["expires_in"] > 0}


def test_leases_outlive_a_kill(vnet, client, control, world):
    control.call("events")
    clients = [world.keep(Datagram(n, vnet.path, world.sock(f"d{n}"), False)) for n in (130, 131)]
    had = {(one.mac, one.lease()) for one in clients}
    for _ in clients:
        told = control.event("lease")
        assert (told["mac"], told["address"]) in had and told["network"] == "net"
    eventually(lambda: all(address in read(vnet.path + ".leases") for _, address in had))
    vnet.kill()
    vnet.start()
    assert leases(vnet) == had
    assert {(one.mac, one.lease()) for one in clients} == had
    vnet.stop()
    vnet.start()
    assert leases(vnet) == had


def test_leases_are_written_when_the_disk_takes_them_again(vnet, world):
    path = Path(vnet.path + ".leases")
    path.mkdir()  # a full disk would do the same
    address = world.keep(Datagram(130, vnet.path, world.sock("d"), False)).lease()
    vnet.proc.until(lambda: "leases: cannot write" in vnet.proc.err, "error", SOON)
    path.rmdir()
    eventually(lambda: address in read(path))
    vnet.stop()
    assert vnet.proc.err.count("Z leases: ") == 1


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("text", ["", "nonsense\n", "vnet-leases 1\nnet 192.168.0.7 x\n",
                                  "vnet-leases 1\nnet 192.168.0.7 52:cc:cc:cc:cc:77 9 - -", "\0"])
def test_a_lease_file_that_makes_no_sense(make_vnet, world, text):
    path = world.sock("odd") + ".leases"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    vnet = make_vnet("odd")
    assert leases(vnet) == set()
    assert read(path + ".bad") == text
    vnet.stop()
    assert f"{path}.bad" in vnet.proc.err


def test_a_lease_that_does_not_fit_is_left_out(make_vnet, world):
    with open(world.sock("odd") + ".leases", "w", encoding="utf-8") as file:
        file.write("vnet-leases 1\n"
                   "net 10.0.0.1 52:54:00:00:00:01 4000000000 - -\n"
                   "gone 192.168.0.7 52:54:00:00:00:02 4000000000 - -\n"
                   "net 192.168.0.8 52:54:00:00:00:03 4000000000 01ff a-host\n")
    vnet = make_vnet("odd")
    assert leases(vnet) == {("52:54:00:00:00:03", "192.168.0.8")}
    lease, = vnet.ask("leases")["leases"]
    assert (lease["host"], lease["id"], lease["network"]) == ("a-host", "01ff", "net")


def test_capture(make_vnet, world):
    path = os.path.join(os.path.realpath(world.dir), "net.pcapng")
    vnet = make_vnet(args=["--capture", "net.pcapng"])  # of the directory that it was started in
    one = world.keep(Datagram(1, vnet.path, world.sock("c1"), True))
    introduce(one)
    capture = vnet.ask("status")["capture"]
    assert (capture["path"], capture["lost"]) == (path, 0) and capture["packets"] >= 2
    vnet.stop()
    with open(path, "rb") as file:
        assert file.read(4) == b"\x0a\x0d\x0d\x0a"


def test_detach(world, binaries):
    path = world.sock("net")
    argv = [binaries / "vnet", "--listen", path, "--detach", "--capture", f"{path}.pcapng"]
    # Reads both outputs to their ends: nobody may hold them.
    first = subprocess.run(argv, env=world.env, capture_output=True, text=True, timeout=SOON,
                           check=True)
    assert first.stdout == f"vnet: listening on {path}\n"
    second = world.keep(Proc(argv, env=world.env))
    assert second.wait() == BUSY and "another vnet" in second.err
    with contextlib.closing(Control(path + ".ctl")) as control:
        pid = control.call("status")["pid"]
        assert os.getsid(pid) == pid
        control.call("shutdown")
    assert gone(pid, SOON)


@pytest.mark.parametrize("args, code", [
    (["--nope"], USAGE), (["a", "b"], USAGE), (["--listen", "relative"], USAGE),
    (["--listen", "/" + "x" * 200], USAGE), (["--listen", "/nowhere/x"], FAILED),
    (["/nowhere/lab.yaml"], FAILED),
])
def test_wrong_arguments(world, binaries, args, code):
    proc = world.keep(Proc([binaries / "vnet", *args], env=world.env))
    assert proc.wait() == code
    assert proc.err.startswith("vnet: ")
