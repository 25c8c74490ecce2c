"""The way out: what leads to the host, what does not, and what becomes of a lab when it breaks."""
import ast
import os
import re
import resource
import signal
import socketserver
import sys
from pathlib import Path
from threading import Thread

import pytest

from lab import outside, web
from lab.capture import Capture
from lab.dig import dig
from lab.outside import Outside
from lab.proc import Proc
from lab.vnet import NIC
from lab.wait import SOON, eventually, gone
from lab.web import DIGEST, PAGE, Web, fetch

LONG = "0123456789abcdef" * 4096
LAB = """
networks:
  home: { lan: 192.168.1.1/24 }
  flat: { lan: 192.168.9.1/24, wan: 2.1.1.1 }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01", network: home }
  b: { mac: "52:cc:cc:cc:cc:02", network: flat }
internet:
  dns: { web.test: 5.0.0.1 }
  forward: { "5.0.0.1:80": "127.0.0.1:%d", "5.0.0.1:81": { page: "a page" }, "5.0.0.1:82": { page: "LONG" } }
""".replace("LONG", LONG)
SITE, MAC_A, MAC_B = "5.0.0.1", "52:cc:cc:cc:cc:01", "52:cc:cc:cc:cc:02"


@pytest.fixture
def page(world):
    return world.keep(Web())


@pytest.fixture
def lab(page, make_vnet):
    return make_vnet(lab=LAB % page.port)


@pytest.fixture
def node(lab, make_node):
    a = make_node(lab, MAC_A)
    a.dhcp()
    return a


def test_a_page_comes_through_a_lab_address(lab, node, make_node):
    behind_nat = make_node(lab, MAC_B)
    behind_nat.dhcp()
    for client in (node, behind_nat):
        assert fetch(client, f"http://{SITE}/") == DIGEST
    node.ping(SITE)
    assert not lab.drops()


@pytest.mark.parametrize("mtu", [576, 1400, 1500])
def test_segments_are_as_large_as_the_guest_says(page, make_vnet, make_node, mtu):
    """Also where its MTU is smaller than its network's."""
    vnet = make_vnet(lab=f"capture: lab.pcapng{LAB % page.port}")
    node = make_node(vnet, MAC_A)
    node.dhcp()
    node.run("ip", "link", "set", NIC, "mtu", mtu)
    assert fetch(node, f"http://{SITE}/") == DIGEST
    vnet.stop()
    capture = Capture(Path(vnet.world.dir) / "lab.pcapng")
    lengths = [int(n) for n, in capture.fields("ip.len", only=f"tcp and ip.src == {SITE}")]
    assert max(lengths) == mtu and lengths.count(mtu) > len(PAGE) / mtu / 2
    assert not capture.tshark("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-Y",
                              f"ip.src == {SITE} and (ip.checksum.status==0 or tcp.checksum.status==0)")


def test_through_a_short_queue(page, make_vnet, make_node):
    """Which has no room for bursts: libslirp would send them again and again."""
    link = "network: home, link: { down: { delay: 5ms, queue: 10 } }"
    lab = (LAB % page.port).replace("network: home", link)
    node = make_node(make_vnet(lab=lab), MAC_A)
    node.dhcp()
    assert fetch(node, f"http://{SITE}/") == DIGEST


def test_a_vm_fetches_it_too(saved_vm, lab):
    vm = saved_vm("a", mac=MAC_A)
    vm.start()
    vm.wait("ip")
    assert vm.sh(f"wget -q -O - http://{SITE}/ | sha256sum").split()[0] == DIGEST


def test_without_a_way_out_there_is_no_route(lab, node, page):
    assert "unreachable" in fetch(node, f"http://198.51.100.1:{page.port}/")
    assert lab.drops() == {"no-route": 1}


def test_nothing_else_of_the_host_is_reached(node, page):
    for url in (f"http://{SITE}:{page.port}/", f"http://192.0.0.1:{page.port}/",
                "http://192.0.0.6:1/"):
        assert fetch(node, url) != DIGEST


# --- services that end in the process ---

TEXTS = ", ".join(f'"{n:02}{"x" * 200}"' for n in range(60))
SERVED = """
networks:
  home: { lan: 192.168.1.1/24, wan: 2.1.1.1, dns: { own.test: 1.1.1.1 } }
  flat: { lan: 192.168.1.1/24, wan: 2.1.1.2, dns: { own.test: 1.1.1.2, long.test: { txt: [%s] } } }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01", network: home }
  b: { mac: "52:cc:cc:cc:cc:02", network: flat }
""" % TEXTS


def test_dns_by_tcp(make_vnet, make_node):
    lab = make_vnet(lab=SERVED)
    assert lab.ask("status")["egress"]["pid"] is None
    for mac, own in ((MAC_A, "1.1.1.1"), (MAC_B, "1.1.1.2")):
        node = make_node(lab, mac)
        node.dhcp()
        assert dig(node, "192.168.1.1", "+tcp", "A", "own.test").values == [own]
    by_udp = dig(node, "192.168.1.1", "+ignore", "TXT", "long.test")
    assert "tc" in by_udp.flags
    by_tcp = dig(node, "192.168.1.1", "TXT", "long.test")  # dig asks again
    assert "tc" not in by_tcp.flags and len(by_tcp.values) == 60 and by_tcp.size > 12000
    assert not lab.drops()


def test_a_process_that_cannot_be_started_is_tried_again(make_vnet, make_node):
    """Descriptors for its sockets, and none for what spawning takes."""
    lab = make_vnet(lab=SERVED)
    node = make_node(lab, MAC_A)
    node.dhcp()
    limits = resource.prlimit(lab.pid, resource.RLIMIT_NOFILE)
    used = {int(fd) for fd in os.listdir(f"/proc/{lab.pid}/fd")}
    free = [fd for fd in range(limits[0]) if fd not in used]
    resource.prlimit(lab.pid, resource.RLIMIT_NOFILE, (free[4], limits[1]))
    assert dig(node, "192.168.1.1", "+tcp", "+time=1", "A", "own.test", check=False).returncode != 0
    eventually(lambda: lab.ask("status")["egress"]["restarts"], what="another attempt")
    resource.prlimit(lab.pid, resource.RLIMIT_NOFILE, limits)
    assert dig(node, "192.168.1.1", "+tcp", "A", "own.test").values == ["1.1.1.1"]


MANY_QUERIES = """
import socket, sys
query = b"\\1\\2\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3own\\4test\\0\\0\\1\\0\\1"
sock = socket.create_connection(("192.168.1.1", 53), 20)
sock.sendall((len(query).to_bytes(2, "big") + query) * 2000)
sock.shutdown(socket.SHUT_WR)
came = b"".join(iter(lambda: sock.recv(1 << 16), b""))
while came:
    size = int.from_bytes(came[:2], "big")
    assert came[2:4] == query[:2] and len(came) >= 2 + size, came[:20]
    came = came[2 + size:]
print("whole")
"""


def test_many_queries_at_once_are_answered_or_the_connection_ends(make_vnet, make_node):
    node = make_node(make_vnet(lab=SERVED), MAC_A)
    node.dhcp()
    assert node.out("/usr/bin/python3", "-c", MANY_QUERIES) == "whole\n"


def test_a_page_of_the_lab(node):
    for port, text in (81, "a page"), (82, LONG):
        said = node.out("/usr/bin/python3", "-c", "import urllib.request\n"
                        f"print(urllib.request.urlopen('http://{SITE}:{port}/x', timeout=20).read())")
        assert said == f"b'{text}'\n"


def test_a_process_that_dies_as_it_begins_leaves_nothing(make_vnet, world, page):
    path = world.sock("net")
    lab = make_vnet(lab=LAB % page.port, prefix=[
        "strace", "-f", "-o", "/dev/null", "-P", f"{path}.0", "-e", "trace=chmod,fchmodat",
        "-e", "inject=chmod,fchmodat:signal=KILL"])
    control = lab.control()
    control.call("events")
    for _ in range(2):
        assert control.event("egress-down")["reason"] == "killed by signal 9"
    control.call("shutdown")
    assert lab.proc.wait() == 0
    assert not list(world.dir.glob("net.sock*"))


# --- many flows ---

# Echoes what each of its many connections says.
SERVER = """
import asyncio
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

# Opens so many connections at once, and says how many there were, and what the others met with. All
# of them speak; then, at a line on standard input, all end and it tries once more.
CLIENT = """
import asyncio, collections, sys
async def connect(n):
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("5.0.0.1", 80), 20)
        writer.write(b"%08d" % n)
        assert await reader.readexactly(8) == b"%08d" % n
        return writer
    except OSError as e:
        return type(e).__name__ + " " + str(e.errno)
async def main():
    opened = await asyncio.gather(*map(connect, range(int(sys.argv[1]))))
    kinds = collections.Counter(one if isinstance(one, str) else "open" for one in opened)
    print(dict(kinds), flush=True)
    sys.stdin.readline()
    for one in opened:
        if not isinstance(one, str):
            one.close()
            await one.wait_closed()
    while isinstance(await connect(0), str):
        pass
    print("again", flush=True)
asyncio.run(main())
"""


@pytest.fixture
def echo(world):
    server = world.keep(Proc([sys.executable, "-c", SERVER]))
    return int(server.expect(r"(\d+)\n")[1])


def busy(pid):
    """Seconds of CPU time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_many_flows_at_once(make_vnet, make_node, echo, count):
    lab = make_vnet(lab=LAB % echo)
    node = make_node(lab, MAC_A)
    node.dhcp()
    flows = count(200, 2000)
    client = node.spawn(sys.executable, "-c", "import resource; resource.setrlimit("
                        "resource.RLIMIT_NOFILE, (4096, 4096))\n" + CLIENT, flows)
    try:
        client.expect(re.escape(str({"open": flows})) + "\n")
        client.say("\n")
        client.expect("again\n")
    finally:
        client.close()


def test_when_descriptors_are_used_up(make_vnet, make_node, echo):
    lab = make_vnet(lab=LAB % echo, prefix=["prlimit", "--nofile=64:64"])
    node = make_node(lab, MAC_A)
    node.dhcp()
    client = node.spawn(sys.executable, "-c", CLIENT, 100)
    try:
        said = client.expect(r"(\{.*\})\n")[1]
        kinds = ast.literal_eval(said)
        assert kinds.pop("open") in range(30, 64), said
        assert set(kinds) == {"OSError 113"}, said  # EHOSTUNREACH, as "prohibited" is to Linux
        pid = lab.ask("status")["egress"]["pid"]
        before = busy(pid)
        node.run("ping", "-n", "-c", "11", "-i", "0.1", SITE)  # a second
        assert busy(pid) - before < 0.3
        client.say("\n")
        client.expect("again\n")
    finally:
        client.close()


# --- a host with an internet ---

HOST = """
networks:
  home: { lan: 192.168.1.1/24 }
internet:
  egress: host
  dns: { known.test: 5.0.0.1 }
  forward:
    "5.0.0.1:80": "127.0.0.1:8080"
    "5.0.0.2:80": "127.0.0.1:8080"
    "5.0.0.1:7/udp": "127.0.0.1:9000"
    "5.0.0.1:8/udp": "127.0.0.1:9000"
    "5.0.0.3:80": "unix:%s"
"""

# Sends and gets back datagrams, from one port to each of the addresses.
ECHO = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(10)
    for where in sys.argv[1:]:
        address, port = where.split(":")
        for size in (3, 1400, 6000):
            client.sendto(where.encode() + bytes(size), (address, int(port)))
            data, peer = client.recvfrom(65536)
            assert data == where.encode() + bytes(size) and peer == (address, int(port)), (data, peer)
print("echoed")
"""


@pytest.fixture
def host(world):
    return world.keep(Outside(world))


@pytest.fixture
def out(host, make_vnet, world):
    return make_vnet(lab=HOST % world.sock("web"), prefix=host.argv())


@pytest.fixture
def guest(out, make_node):
    a = make_node(out, MAC_A)
    a.dhcp()
    return a


def refused(text):
    """Whether it says "prohibited" by ICMP, as the kernel words it."""
    return "No route to host" in text


def test_the_host_is_the_way_out(guest):
    assert fetch(guest, f"http://{outside.INTERNET}:{outside.PORT}/") == DIGEST
    assert "refused" in fetch(guest, f"http://{outside.INTERNET}:1/")


def test_refused_fragments_are_refused_once(guest, out):
    guest.run("ping", "-c", "2", "-i", "0.2", "-s", "4000", "10.77.0.1", check=False)
    assert out.ask("status")["egress"]["restarts"] == 0
    assert out.ask("counters")["egress"]["drops"] == {}


def test_the_surroundings_of_the_host_are_not(guest, out):
    for address in (outside.LAN, "10.1.2.3", "172.20.0.1", "192.168.200.1", "100.64.0.1",
                    "169.254.169.254", "192.0.0.1"):
        assert refused(fetch(guest, f"http://{address}:{outside.PORT}/")), address
    assert out.ask("counters")["egress"]["drops"] == {}


def test_the_lab_may_allow_them(host, make_vnet, make_node):
    lab = make_vnet(lab="networks: {net: }\ninternet: {egress: host, host-lan: allow}\n", prefix=host.argv())
    node = make_node(lab, MAC_A)
    node.dhcp()
    assert fetch(node, f"http://{outside.LAN}:{outside.PORT}/") == DIGEST
    for address in ("192.0.0.1", "192.0.0.6"):
        assert refused(fetch(node, f"http://{address}:{outside.PORT}/"))


def test_forwards_lead_to_one_port(guest):
    for site in ("5.0.0.1", "5.0.0.2"):
        assert fetch(guest, f"http://{site}/") == DIGEST
    assert "refused" in fetch(guest, f"http://5.0.0.1:{outside.PORT}/")


def test_a_forward_leads_to_a_unix_socket(guest, world):
    class Unix(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Unix(world.sock("web"), web.Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        assert fetch(guest, "http://5.0.0.3/") == DIGEST
        server.shutdown()


def test_datagrams(guest):
    said = guest.out("/usr/bin/python3", "-c", ECHO, f"{outside.INTERNET}:{outside.ECHO}", "5.0.0.1:7",
                     "5.0.0.1:8")
    assert said == "echoed\n"


# Sends from so many ports to one that echoes, and prints how many hear of it, and what else they do.
MANY_PORTS = """
import collections, socket, sys
kinds, kept = collections.Counter(), []
for n in range(int(sys.argv[1])):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kept.append(s)
    s.settimeout(10)
    s.connect((sys.argv[2], int(sys.argv[3])))
    try:
        s.send(b"x")
        s.recv(10)
        kinds["echo"] += 1
    except OSError as e:
        kinds[type(e).__name__ + " " + str(e.errno)] += 1
print(dict(kinds))
"""


def test_when_descriptors_are_used_up_by_datagrams(host, make_vnet, make_node, world):
    lab = make_vnet(lab=HOST % world.sock("web"), prefix=[*host.argv("prlimit", "--nofile=64:64")])
    node = make_node(lab, MAC_A)
    node.dhcp()
    said = node.out(sys.executable, "-c", MANY_PORTS, 80, outside.INTERNET, outside.ECHO)
    kinds = ast.literal_eval(said)
    echoes = kinds.pop("echo")
    assert kinds == {"OSError 113": 80 - echoes} and echoes in range(30, 64), said
    assert eventually(lambda: lab.ask("status")["egress"]["refused"] == 80 - echoes, what="the count")


def test_names_of_elsewhere(guest, out):
    answer = dig(guest, "192.168.1.1", "A", outside.NAME)
    assert answer.values == [outside.ADDRESS] and "aa" not in answer.flags
    assert dig(guest, "192.168.1.1", "A", "nothing.example").status == "NXDOMAIN"
    assert dig(guest, "192.168.1.1", "A", "known.test").values == ["5.0.0.1"]
    assert dig(guest, "192.168.1.1", "A", "nobody.home.internal").status == "NXDOMAIN"
    assert not out.drops()


def test_a_resolver_that_is_down(guest):
    assert dig(guest, "192.168.1.1", "A", "silent.example").status == "SERVFAIL"


def test_a_ping_leaves_or_is_refused(guest, host):
    low, high = map(int, host.out("cat", "/proc/sys/net/ipv4/ping_group_range").split())
    done = guest.run("ping", "-n", "-c", "1", "-W", SOON, outside.INTERNET, check=False)
    assert done.returncode == (0 if low <= high else 1)
    assert low <= high or "Packet filtered" in done.stdout


def test_its_process_may_die(guest, out):
    events = out.control()
    events.call("events")
    pid = out.ask("status")["egress"]["pid"]
    for _ in range(2):
        os.kill(pid, signal.SIGKILL)
        down = events.event("egress-down")
        assert down["reason"] == "killed by signal 9"
        pid = events.event("egress-up")["pid"]
        assert fetch(guest, f"http://{outside.INTERNET}:{outside.PORT}/") == DIGEST
    assert out.ask("status")["egress"]["restarts"] == 2
    assert out.proc.child.poll() is None


def test_its_process_can_do_little(out):
    pid = eventually(lambda: out.ask("status")["egress"]["pid"], what="the egress")
    status = dict(line.split(":\t", 1) for line in
                  Path(f"/proc/{pid}/status").read_text().splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)
    out.kill()
    assert gone(pid, SOON)
