"""Mixed traffic of one node, as long as its standard input is open: run as a program inside it.

    traffic.py PEER... ROUTER NAME OUTSIDE

Echoes UDP and TCP at a port of its own, and talks to the peers, to the router's DNS server, to
OUTSIDE by TCP, and by ping, one after the other, chosen at random. Peers may be away. A line of input with addresses is
answered with `all answer`, or `no answer: …`, for UDP and TCP to each of them; an empty one, and the
end of input, with JSON: how often each kind of talk went well and did not, and how long none did at most.
"""
import json
import os
import random
import selectors
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time

PORT, PATIENCE, BULK = 7007, 2, 1 << 14
ALL = 30  # seconds for an answer of all who are asked for


class Datagrams(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


class Streams(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(PATIENCE)
        try:
            while data := self.request.recv(BULK):
                self.request.sendall(data)
        except OSError:
            pass  # the peer was unplugged


class StreamServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 64


def serve():
    for kind, handler in ((socketserver.UDPServer, Datagrams), (StreamServer, Streams)):
        server = kind(("0.0.0.0", PORT), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()


def datagram(data, address, port):
    """The answer to a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect((address, port))
        sock.send(data)
        return sock.recv(65536)


def udp(peer):
    data = os.urandom(random.randrange(1, 3000))  # some in fragments
    assert datagram(data, peer, PORT) == data


def tcp(peer):
    data, back = os.urandom(BULK), b""
    with socket.create_connection((peer, PORT), timeout=PATIENCE) as sock:
        sock.settimeout(PATIENCE)
        threading.Thread(target=sock.sendall, args=(data,), daemon=True).start()
        while len(back) < len(data) and (part := sock.recv(BULK)):
            back += part
    assert back == data


def outside(address):
    tcp(address)


def ping(peer):
    subprocess.run(["ping", "-n", "-q", "-c", "1", "-W", str(PATIENCE), peer], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def dns(router, name):
    number = random.randrange(1 << 16)
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    answer = datagram(struct.pack(">6H", number, 0x100, 1, 0, 0, 0) + question + b"\0\1\0\1", router, 53)
    assert struct.unpack_from(">4H", answer)[0::3] == (number, 1)


def attempt(talk, *args):
    try:
        talk(*args)
        return True
    except (OSError, AssertionError, subprocess.CalledProcessError, threading.ThreadError):
        return False


def until(deadline, talk, *args):
    while not (good := attempt(talk, *args)) and time.monotonic() < deadline:
        pass
    return good


def all_answer(addresses):
    deadline = time.monotonic() + ALL
    silent = [f"{talk.__name__} {address}" for address in addresses for talk in (udp, tcp)
              if not until(deadline, talk, address)]
    print(f"no answer: {', '.join(silent)}" if silent else "all answer", flush=True)


def tell(went, silence):
    print(json.dumps({"went": went, "silence": silence}), flush=True)


def main(peers, router, name, out):
    serve()
    print("ready", flush=True)
    talks = (udp, tcp, ping, dns, outside)
    went = {talk.__name__: [0, 0] for talk in talks}
    silence, last = 0, time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            if selector.select(random.random() / 10):
                line = sys.stdin.readline()
                if not line:
                    break
                if line.split():
                    all_answer(line.split())
                    last = time.monotonic()
                else:
                    tell(went, silence)
            talk = random.choice(talks)
            args = {dns: (router, name), outside: (out,)}.get(talk, (random.choice(peers),))
            good = attempt(talk, *args)
            went[talk.__name__][not good] += 1
            silence = max(silence, time.monotonic() - last)
            last = time.monotonic() if good else last
    tell(went, silence)


if __name__ == "__main__":
    main(sys.argv[1:-3], *sys.argv[-3:])
