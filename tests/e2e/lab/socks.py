"""Sockets inside a node, for programs that nobody ships: run as a program inside it.

    socks.py echo KIND ADDRESS PORT        answers; prints `ready`, then the peer of each message
    socks.py ask KIND ADDRESS PORT [FROM]  says one word, from that port; prints what comes back

KIND is udp or tcp. An error of the socket ends it with the error's name and exit code 1.
"""
import errno
import socket
import sys

WORD = b"hello"
PATIENCE = 30  # seconds


def make(kind, address, port=0):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[kind])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if port:
        made.bind(("", port))
    return made


def say(*words):
    print(*words, flush=True)


def echo(kind, address, port):
    with make(kind, address, port) as server:
        if kind == "tcp":
            server.listen()
        say("ready")
        while True:
            if kind == "tcp":
                with server.accept()[0] as peer:
                    say(*peer.getpeername()[:2])
                    peer.sendall(peer.recv(100))
            else:
                data, peer = server.recvfrom(100)
                say(*peer[:2])
                server.sendto(data, peer)


def ask(kind, address, port, source=0):
    with make(kind, address, source) as client:
        client.settimeout(PATIENCE)
        client.connect((address, port))
        client.send(WORD)
        say(client.recv(100).decode())


if __name__ == "__main__":
    act, what, where, *numbers = sys.argv[1:]
    try:
        {"echo": echo, "ask": ask}[act](what, where, *map(int, numbers))
    except OSError as why:
        say(errno.errorcode.get(why.errno, str(why)))
        sys.exit(1)
