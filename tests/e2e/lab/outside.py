"""A host with an internet behind it, for a vnet that has a way out: a namespace that answers for
addresses of three kinds. There are no others: the tests' machine has no network."""
import sys
from pathlib import Path

from . import web
from .netns import Namespace

INTERNET = "203.0.113.5"  # routed to it, in no network of an interface
LAN = "198.51.100.1"      # of an interface
LOOPBACK = "127.0.0.1"
PORT = 8080               # of the page, at all addresses
ECHO = 9000               # of the echo by UDP, at INTERNET and LOOPBACK
NAME, ADDRESS = "far.example", "203.0.113.99"  # what its DNS server knows

SETUP = f"""
ip route add local 203.0.113.0/24 dev lo
ip address add {LAN}/24 dev lo
mount --bind "$1" /etc/resolv.conf
"""

SERVE = f"""
import http.server, socket, sys, threading
sys.path.insert(0, sys.argv[1])
from lab import web

def echo(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, {ECHO}))
        while True:
            data, peer = server.recvfrom(65536)
            server.sendto(data, peer)

def name(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            query, peer = server.recvfrom(65536)
            end = query.index(b"\\0", 12) + 5
            question, right = query[12:end], b"\\3far\\7example\\0\\0\\1\\0\\1"
            known = question.lower() == right
            record = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + socket.inet_aton("{ADDRESS}")
            counts = b"\\0\\1" + (b"\\0\\1" if known else b"\\0\\0") + b"\\0" * 4
            if b"silent" not in question:
                server.sendto(query[:2] + (b"\\x81\\x80" if known else b"\\x81\\x83") + counts
                              + question + (record if known else b""), peer)

for work, address in ((echo, "{INTERNET}"), (echo, "{LOOPBACK}"), (name, "{LOOPBACK}")):
    threading.Thread(target=work, args=(address,), daemon=True).start()
server = web.server("0.0.0.0", {PORT})
print("ready", flush=True)
server.serve_forever()
"""


class Outside(Namespace):
    def __init__(self, world):
        self.server = None
        super().__init__(world)
        try:
            resolv = Path(world.dir) / "resolv.conf"
            resolv.write_text(f"nameserver {LOOPBACK}\n")
            self.run("sh", "-e", "-c", SETUP, "sh", resolv)
            self.server = self.spawn(sys.executable, "-c", SERVE, Path(web.__file__).parents[1])
            self.server.expect("ready\n")
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.server:
            self.server.close()
        super().close()
