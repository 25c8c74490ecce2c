"""A private place for VMs and sockets, and how commands are timed in it. Nothing of it is left."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
BIN = TOP / os.environ.get("BIN", "bin")
TAILMAC = BIN / "tailmac"
IMAGE = BIN / "images" / "tiny-x86_64.tar.zst"
TIMEOUT = 300


class Missing(Exception):
    """Something that is needed is not there."""


def need(path, hint):
    if not Path(path).exists():
        raise Missing(f"{path} is missing: {hint}")


def settle():
    """Everything measured starts with nothing left to write: else it pays for what came before."""
    os.sync()


def timed(argv, **options):
    """Seconds that a command takes, which must succeed."""
    start = time.monotonic()
    done = subprocess.run([str(arg) for arg in argv], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
                          check=False, **options)
    seconds = time.monotonic() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit code {done.returncode}\n"
                           f"{done.stdout}{done.stderr}")
    return seconds


class Network:
    """Datagrams are frames: takes all of them and says nothing, for a guest's cable has another end, and
    remembers when who first spoke. What QEMU says for a guest that it restored (RARP) does not count."""
    END, RARP = b"end", b"\x80\x35"

    def __init__(self, sock):
        self.sock, self.first, self.heard = sock, {}, threading.Condition()
        self.thread = threading.Thread(target=self.drain, daemon=True)
        self.thread.start()

    def drain(self):
        while (frame := self.sock.recv(65536)) != self.END:
            sender = frame[6:12]
            if sender in self.first or frame[12:14] == self.RARP:
                continue
            with self.heard:
                self.first[sender] = time.monotonic()
                self.heard.notify_all()

    def forget(self):
        with self.heard:
            self.first.clear()

    def wait_first(self, mac):
        """When the first frame from `mac` came since forget(); waits for it."""
        sender = bytes.fromhex(mac.replace(":", ""))
        with self.heard:
            if not self.heard.wait_for(lambda: sender in self.first, TIMEOUT):
                raise RuntimeError(f"no frame from {mac} within {TIMEOUT} s; {len(self.first)} others spoke")
            return self.first[sender]

    def close(self):
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as last:
            last.sendto(self.END, self.sock.getsockname())
        self.thread.join()
        self.sock.close()


def bound(family, address):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(address)
    return sock


class Place:
    """`dir` for big files, on the disk that is measured; `sockets`, with a short path."""

    def __init__(self, where):
        need(TAILMAC, "run make first")
        need(IMAGE, "run make image first")
        self.dir = Path(tempfile.mkdtemp(prefix="tmbench-", dir=where))
        self.sockets = Path(tempfile.mkdtemp(prefix="tmb", dir="/tmp"))
        self.bundle = self.dir / "bundle"
        self.bundle.mkdir()
        self.env = os.environ | {"TAILMAC_HOME": str(self.bundle), "LC_ALL": "C.UTF-8",
                                 "XDG_RUNTIME_DIR": str(self.sockets)}
        self.net = str(self.sockets / "net")
        self.network = Network(bound(socket.AF_UNIX, self.net))
        self.suffix = self.sockets.name[3:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for vm_id in self.ids():
            with contextlib.suppress(RuntimeError):
                self.tailmac("halt", vm_id)
        self.network.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def ids(self):
        return [vm.name for vm in self.bundle.iterdir() if (vm / "config.json").exists()]

    def tailmac(self, *args):
        """Seconds that `tailmac ARGS` takes."""
        return timed([TAILMAC, *args], env=self.env)

    def json(self, *args):
        """What `tailmac ARGS` answers."""
        text = subprocess.run([str(TAILMAC), "--format", "json", *map(str, args)], env=self.env,
                              check=True, stdout=subprocess.PIPE, timeout=TIMEOUT).stdout
        return json.loads(text)

    def status(self, vm_id):
        return self.json("status", vm_id)

    def vm(self, name, *options):
        """A new VM from the tiny image, 256 MiB, on the silent network; its id."""
        vm_id = f"{name}-{self.suffix}"  # names of NIC sockets are shared by all of /tmp
        self.tailmac("create", vm_id, "--image", IMAGE, "--sock", self.net, *options)
        return vm_id

    @contextlib.contextmanager
    def running(self, vm_id, *options):
        try:
            self.tailmac("run", vm_id, *(options or ["--headless"]), "--wait", "ready")
            yield
        finally:
            self.tailmac("halt", vm_id)
