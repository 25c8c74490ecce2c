"""As much of the agent's wire format (src/agent/wire.h) as it takes to ask a guest: are you ready?"""
import os
import select
import struct
import time

HELLO, READY = 1, 2
MAGIC, VERSION = 0x31416D74, 1
AGAIN = 1.0  # Host's own patience: a greeting may come before the guest opens the port


def fnv1a(data):
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def header(kind, nonce, length=0):
    head = struct.pack("<IHHI", MAGIC, kind, VERSION, length) + struct.pack("<I", nonce)
    return head + struct.pack("<I", fnv1a(head))


def wait_ready(sock, timeout):
    """Greets as Host does until the guest's agent answers."""
    nonce = int.from_bytes(os.urandom(3), "little") + 1
    wanted, seen = header(READY, nonce)[:8], b""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        sock.sendall(header(HELLO, nonce))
        again = time.monotonic() + AGAIN
        while (left := again - time.monotonic()) > 0:
            if not select.select([sock], [], [], left)[0]:
                break
            data = sock.recv(65536)
            if not data:
                raise RuntimeError("the agent's channel closed")
            seen += data
            if wanted in seen and struct.pack("<I", nonce) in seen[seen.index(wanted):]:
                return
    raise RuntimeError(f"the guest's agent was not ready within {timeout} s")
