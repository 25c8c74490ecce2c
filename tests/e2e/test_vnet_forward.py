"""Ports of the host that lead to guests: who reaches whom, as whom, and what becomes of it."""
import hashlib
import os
import signal
import sys

import pytest

from lab.netns import Namespace
from lab.vnet import Refused
from lab.wait import SOON, eventually

LAB = """
networks:
  home: { lan: 192.168.1.1/24, wan: 2.1.1.1 }
  flat: { lan: 192.168.1.1/24, mtu: 1400 }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01", network: home }
  b: { mac: "52:cc:cc:cc:cc:02", network: flat }
internet:
  egress: host
  from-host: { "8001": "a:80", "127.0.0.1:7/udp": { to: "a:7" }, "0.0.0.0:8002": "b:80" }
"""
MAC_A, MAC_B, MAC_C = (f"52:cc:cc:cc:cc:0{n}" for n in (1, 2, 3))
STRANGER = "02:00:00:00:00:07"

# Echoes by TCP and UDP, after a line about who spoke.
SERVER = """
import socketserver, sys, threading
class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.client_address[0].encode() + b"\\n")
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(self.client_address[0].encode() + b"\\n" + data, self.client_address)
class Streams(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 4096
datagrams = socketserver.UDPServer(("", 7), Datagram)
datagrams.max_packet_size = 65536
threading.Thread(target=datagrams.serve_forever, daemon=True).start()
streams = Streams(("", 80), Stream)
print("ready", flush=True)
streams.serve_forever()
"""

# Sends so many bytes and prints who they came from in the guest's eyes and the digest of the echo.
TALK = """
import hashlib, socket, sys, threading
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as s:
    data = bytes(range(256)) * (int(sys.argv[3]) // 256)
    f = s.makefile("rb")
    try:
        who = f.readline()
    except OSError:
        who = b""
    if not who:
        sys.exit("ended")
    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    threading.Thread(target=send).start()
    print(who.decode().strip(), hashlib.sha256(f.read()).hexdigest())
"""
SIZE = 1 << 20
DIGEST = hashlib.sha256(bytes(range(256)) * (SIZE // 256)).hexdigest()

ASK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(10)
    for size in (3, 1400, 6000):
        s.sendto(bytes(size), (sys.argv[1], int(sys.argv[2])))
        data, peer = s.recvfrom(65536)
        who, _, rest = data.partition(b"\\n")
        assert rest == bytes(size) and peer == (sys.argv[1], int(sys.argv[2])), (data, peer)
    print(who.decode())
"""


@pytest.fixture
def host(world):
    """Where vnet runs: nobody else has its ports."""
    return world.keep(Namespace(world))


@pytest.fixture
def lab(host, make_vnet):
    return make_vnet(lab=LAB, prefix=host.argv())


@pytest.fixture
def guest(lab, make_node):
    def make(mac, **options):
        node = make_node(lab, mac, **options)
        node.address = node.dhcp()
        node.server = node.world.keep(node.spawn(sys.executable, "-c", SERVER))
        node.server.expect("ready\n")
        return node
    return make


def talk(host, port, address="127.0.0.1", size=SIZE):
    done = host.run(sys.executable, "-c", TALK, address, port, size, check=False)
    return done.stdout.strip() or done.stderr.splitlines()[-1]


def test_it_reaches_a_guest_as_its_router(host, lab, guest):
    guest(MAC_A)
    guest(MAC_B)
    assert talk(host, 8001) == talk(host, 8002) == f"192.168.1.1 {DIGEST}"
    assert talk(host, 8002, "127.0.0.9") == f"192.168.1.1 {DIGEST}"
    assert host.out(sys.executable, "-c", ASK, "127.0.0.1", 7) == "192.168.1.1\n"
    assert not lab.drops()


def test_a_vm_is_reached_by_its_id(saved_vm, host, make_vnet):
    lab = make_vnet(lab=LAB, prefix=host.argv())
    vm = saved_vm("box", mac=MAC_A)  # the lab calls it "a"
    vm.start()
    vm.wait("ip")
    vm.sh("echo a page >/tmp/index.html; busybox httpd -p 81 -h /tmp")
    lab.ask("forward", listen="8081", to=f"{vm.id}:81")
    assert host.out("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8081/") == "a page\n"


@pytest.mark.parametrize("who", ["a", MAC_A, "192.168.9.101", "own"])
def test_by_what_a_guest_is_known(who, host, make_vnet, make_node):
    """A name of the lab, a MAC, an address, the name that the guest gives itself."""
    lab = make_vnet(lab=LAB.replace("home: { lan: 192.168.1.1/24", "home: { lan: 192.168.9.1/24"),
                    prefix=host.argv())
    node = make_node(lab, MAC_A, name="own")
    node.run("ip", "address", "add", "192.168.9.101/24", "dev", "c0")
    server = node.world.keep(node.spawn(sys.executable, "-c", SERVER))
    server.expect("ready\n")
    lab.ask("forward", listen="9001", to=f"{who}:80")
    assert talk(host, 9001) == f"192.168.9.1 {DIGEST}"


def test_a_stranger_with_an_address_of_its_own(host, lab, make_node):
    node = make_node(lab, STRANGER, name="stranger")
    lab.ask("forward", listen="9001", to="stranger:80")
    assert lab.ask("forward")["forwards"][-1]["note"] == "it has no address yet"
    assert talk(host, 9001) == "ended"
    node.run("ip", "address", "add", "192.168.1.9/24", "dev", "c0")
    node.ping("192.168.1.1")
    server = node.world.keep(node.spawn(sys.executable, "-c", SERVER))
    server.expect("ready\n")
    assert talk(host, 9001) == f"192.168.1.1 {DIGEST}"


def test_a_guest_that_comes_and_goes(host, lab, guest):
    forward, = lab.ask("forward", listen="9001", to="c:80")["forwards"][3:]
    assert (forward["note"], forward["address"]) == ("it is not plugged in", None)
    assert talk(host, 9001) == "ended"
    node = guest(MAC_C, name="c")
    forward, = lab.ask("status")["forwards"][3:]
    assert (forward["network"], forward["address"], forward["note"]) == ("home", node.address, None)
    assert talk(host, 9001) == f"192.168.1.1 {DIGEST}"
    node.server.close()
    assert talk(host, 9001) == "ended"  # nobody listens
    node.close()
    eventually(lambda: "c" not in lab.links(), what="no plug any more")
    assert talk(host, 9001) == "ended"


HOLD = """
import socket, sys
with socket.create_connection(("127.0.0.1", 8001), 20) as s:
    f = s.makefile("rb")
    f.readline()
    print("open", flush=True)
    for line in sys.stdin:
        s.sendall(line.encode())
        print("echo", f.readline().decode().strip() or sys.exit("ended"), flush=True)
"""


def test_removed_ports_are_free_and_connections_stay(host, lab, guest):
    guest(MAC_A)
    client = host.world.keep(host.spawn(sys.executable, "-c", HOLD))
    client.expect("open\n")
    lab.ask("forward", listen="8001", remove=True)
    assert "refused" in talk(host, 8001)
    client.say("still there\n")
    client.expect("echo still there\n")
    lab.ask("forward", listen="8001", to="b:80")
    client.say("and here\n")
    client.expect("echo and here\n")
    client.close()


def test_they_outlive_the_process(host, lab, guest):
    """Who connects while it is not there waits for the next one."""
    guest(MAC_A)
    events = lab.control()
    events.call("events")
    for _ in range(2):
        os.kill(lab.ask("status")["egress"]["pid"], signal.SIGKILL)
        assert talk(host, 8001) == f"192.168.1.1 {DIGEST}"
        events.event("egress-up")


def test_a_transfer_breaks_with_the_process(host, lab, guest):
    """Not the lab, and not the next one."""
    guest(MAC_A)
    client = host.world.keep(host.spawn(sys.executable, "-c", HOLD))
    client.expect("open\n")
    os.kill(lab.ask("status")["egress"]["pid"], signal.SIGKILL)
    client.say("lost\n")
    assert client.wait() != 0
    assert talk(host, 8001) == f"192.168.1.1 {DIGEST}"


MANY = """
import asyncio, sys
async def one():
    reader, writer = await asyncio.open_connection("127.0.0.1", 8001)
    await reader.readline()
    writer.write(b"x" * 1000 + b"\\n")
    assert await reader.readline() == b"x" * 1000 + b"\\n"
    return writer
async def main():
    opened = await asyncio.gather(*(one() for _ in range(int(sys.argv[1]))))
    print(len(opened))
asyncio.run(main())
"""


def test_many_at_once(host, lab, guest, count):
    guest(MAC_A)
    assert host.out(sys.executable, "-c", MANY, count(50, 500), timeout=4 * SOON) == f"{count(50, 500)}\n"


# --- what is refused ---

def test_a_port_that_is_taken_is_named(host, lab):
    other = host.world.keep(host.spawn(sys.executable, "-c", "import socket\n"
                            "s = socket.create_server(('127.0.0.1', 9001)); print('there', flush=True)\n"
                            "input()"))
    other.expect("there\n")
    with pytest.raises(Refused, match="busy: cannot listen at 127.0.0.1:9001: Address already in use"):
        lab.ask("forward", listen="9001", to="a:80")
    with pytest.raises(Refused, match="exists: 127.0.0.1:8001 leads to a:80 already"):
        lab.ask("forward", listen="8001", to="a:81")
    with pytest.raises(Refused, match="usage: 127.0.0.1:9001 leads to no guest"):
        lab.ask("forward", listen="9001", remove=True)
    assert len(lab.ask("forward")["forwards"]) == 3


def test_a_closed_lab_lets_nobody_in(make_vnet):
    lab = make_vnet(lab="networks: {net: }\n")
    with pytest.raises(Refused, match="its way out is closed"):
        lab.ask("forward", listen="9001", to="a:80")


@pytest.mark.parametrize("args", [
    {"listen": "0", "to": "a:80"}, {"listen": "99999", "to": "a:80"}, {"listen": "x", "to": "a:80"},
    {"listen": "80/icmp", "to": "a:80"}, {"listen": "::1:80", "to": "a:80"}, {"listen": "9001", "to": "a"},
    {"listen": "9001", "to": ":80"}, {"listen": "9001", "to": "a:0"}, {"listen": "9001", "to": "a b:80"},
    {"listen": "9001", "to": "a" * 70 + ":80"}, {"listen": "9001"}, {"to": "a:80"}, {"remove": True},
    {"listen": "9001", "to": "a:80", "remove": True}, {"listen": 9001, "to": "a:80"},
])
def test_what_makes_no_sense(lab, args):
    with pytest.raises(Refused, match="usage"):
        lab.ask("forward", **args)


def test_by_the_command(tm, host, lab):
    words = ["net", "--listen", lab.path, "forward"]
    tm.run(*words, "9001/udp", "nobody:80")
    assert "127.0.0.1:9001  udp       nobody:80  it is not plugged in\n" in tm.run(*words).stdout
    assert "nobody:80" in tm.run("net", "--listen", lab.path, "status").stdout
    tm.run(*words, "--remove", "9001/udp")
    assert "nobody" not in tm.run(*words).stdout
    assert "Give ID:PORT" in tm.fail(2, *words, "9001")
    assert "--remove takes" in tm.fail(2, *words, "--remove")
