"""vsock from both sides: guest/vsock.c inside, unix sockets outside."""
import contextlib
import hashlib
import os
import socket
import subprocess
import threading
from pathlib import Path

from .wait import BOOT, eventually

SOURCE = Path(__file__).resolve().parent.parent / "guest" / "vsock.c"
MIB = 1 << 20
GUEST = "/data/vsock"  # the program in the guest


def build(vm, arch):
    """The guest's program."""
    program = vm.tm.world.dir / "vsock-guest"
    if not program.exists():
        subprocess.run([f"{arch}-linux-gnu-gcc", "-O2", "-static", "-s", "-o", program, SOURCE], check=True)
    return program


def give(vm, arch):
    """The program to a guest that was resumed, and the time to find its new device."""
    vm.tm.run("cp", build(vm, arch), f"{vm.id}:{GUEST}")
    eventually(lambda: vm.sh("cat /sys/bus/virtio/devices/*/device | grep -c 0x0013 || true") == "1",
               what="a vsock device")


def install(vm, arch):
    """Puts the guest's program on the data disk of a VM that has not run yet."""
    program = build(vm, arch)
    commands = vm.tm.world.dir / "debugfs"
    commands.write_text(f"write {program} vsock\nset_inode_field vsock mode 0100755\n")
    done = subprocess.run(["debugfs", "-w", "-f", commands, vm.dir / "Disk.img"], check=True, text=True,
                          capture_output=True)
    assert "Allocated inode" in done.stdout, done.stdout + done.stderr


class Outside:
    """Programs of the host that talk to one VM's guest."""

    def __init__(self, vm):
        self.path = vm.status()["vsock"]["path"]

    def say(self, text):
        """A connection on which that was said instead of CONNECT."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(BOOT)
        sock.connect(self.path)
        sock.sendall(text)
        return sock

    def dial(self, port):
        """A connection to the guest's port, None where it refuses."""
        sock = self.say(b"CONNECT %d\n" % port)
        line = b""
        while not line.endswith(b"\n"):
            byte = sock.recv(1)
            if not byte:
                sock.close()
                return None
            line += byte
        assert line.startswith(b"OK ") and line[3:-1].isdigit(), line
        return sock

    @contextlib.contextmanager
    def listen(self, port, serve):
        """serve(connection), in a thread each, for connections of the guest to this port."""
        with Listener(f"{self.path}_{port}", serve):
            yield

    def echo(self, port):
        return self.listen(port, echo)


class Listener:
    def __init__(self, path, serve):
        self.path, self.serve = path, serve
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(1024)
        self.thread = threading.Thread(target=self.accept)
        self.serving = []

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.sock.accept()
                self.serving.append(threading.Thread(target=self.serve, args=(sock,)))
                self.serving[-1].start()

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()
        os.unlink(self.path)
        for thread in self.serving:
            thread.join(BOOT)
            assert not thread.is_alive(), "a connection of the guest did not end"


def echo(sock):
    with sock, contextlib.suppress(ConnectionError):
        while data := sock.recv(64 << 10):
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


def exchange(sock, size):
    """Sends that much and an end, reads to the end: whether the same came back."""
    piece, sent, got = os.urandom(MIB), hashlib.sha256(), hashlib.sha256()

    def send():
        for _ in range(size // MIB):
            sock.sendall(piece)
            sent.update(piece)
        sock.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    while data := sock.recv(256 << 10):
        got.update(data)
    sender.join()
    sock.close()
    return sent.digest() == got.digest()
