"""One TCP transfer, digest told on standard output: run as a program inside a node.

    transfer.py sink ADDRESS PORT         listens, says `ready`, reads to the end
    transfer.py source ADDRESS PORT SIZE  connects and writes random bytes
"""
import hashlib
import os
import socket
import sys

CHUNK = 1 << 16


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sink(address, port):
    digest = hashlib.sha256()
    with socket.create_server((address, port), family=family(address)) as listener:
        print("ready", flush=True)
        with listener.accept()[0] as peer:
            while data := peer.recv(CHUNK):
                digest.update(data)
    return digest


def source(address, port, size):
    digest = hashlib.sha256()
    with socket.create_connection((address, port)) as peer:
        for at in range(0, size, CHUNK):
            data = os.urandom(min(CHUNK, size - at))
            digest.update(data)
            peer.sendall(data)
    return digest


if __name__ == "__main__":
    end, *rest = sys.argv[1:]
    print({"sink": sink, "source": source}[end](rest[0], *map(int, rest[1:])).hexdigest())
