"""What moves frames between clients: vnet, vde_switch, the bare loop. Each gives `pid` and `clients`,
datagram sockets that are connected to it."""
import contextlib
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import time

from .place import BIN, TIMEOUT, TOP

PROGRAMS = TOP / os.environ.get("BUILD", "build") / "tests" / "bench" / "net"
VNET = BIN / "vnet"
VDE = shutil.which("vde_switch")
SNDBUF = 4 << 20
ROUTER = bytes.fromhex("52eeeeeeee01")  # of vnet's first network; nobody of vde_switch's


def mac(i):
    """As client.c has it."""
    return bytes([0x52, 0xbb, 0, 0, i >> 8, i & 255])


def client(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SNDBUF)
    sock.bind(path)
    return sock


def until(ask, what):
    deadline = time.monotonic() + TIMEOUT
    while not ask():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {TIMEOUT} s for {what}")
        time.sleep(0.01)


class Relay(contextlib.ExitStack):
    """Processes and sockets of one side, there within `with`."""

    def __init__(self, place, name):
        super().__init__()
        self.dir = place.sockets / name
        self.clients, self.pid = [], None

    def __enter__(self):
        try:
            self.dir.mkdir()
            self.callback(shutil.rmtree, self.dir, True)
            self.build()
        except BaseException:
            self.close()
            raise
        return super().__enter__()

    def build(self):
        raise NotImplementedError

    def start(self, argv, **options):
        process = subprocess.Popen([str(arg) for arg in argv], stdin=subprocess.PIPE, **options)
        self.callback(process.stdin.close)  # vde_switch ends with it
        self.callback(process.wait)
        self.callback(process.kill)
        self.pid = process.pid
        return process

    def client(self):
        sock = self.enter_context(client(str(self.dir / f"client-{len(self.clients)}")))
        self.clients.append(sock)
        return sock

    def speak(self):
        """Every client says one word, so that it is known where its MAC is."""
        for i, sock in enumerate(self.clients):
            sock.send(ROUTER + mac(i) + b"\x08\x00" + bytes(50))

    def hush(self):
        """Nothing waits at the clients any more."""
        for sock in self.clients:
            with contextlib.suppress(BlockingIOError):
                while sock.recv(65536, socket.MSG_DONTWAIT):
                    pass


class Bare(Relay):
    """Blocking recvmmsg(32) and sendmmsg(32) between two mutually connected sockets."""

    def __init__(self, place):
        super().__init__(place, "bare")

    def build(self):
        servers = []
        for i in range(2):
            server = self.enter_context(client(str(self.dir / f"server-{i}")))
            sock = self.client()
            sock.connect(server.getsockname())
            server.connect(sock.getsockname())
            servers.append(server.fileno())
        self.start([PROGRAMS / "bench-relay", *servers], pass_fds=servers)


class Vnet(Relay):
    """Private plugs, all in one network."""

    def __init__(self, place, name="vnet", count=2, args=(), lab=None):
        super().__init__(place, name)
        self.count, self.args, self.lab = count, args, lab
        self.control = self.lines = None

    def build(self):
        listen, lab = self.dir / "net", self.dir / "lab.yaml"
        if self.lab:
            lab.write_text(self.lab)
        process = self.start([VNET, *([lab] if self.lab else []), *self.args, "--listen", listen], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
        process.stdout.readline()
        self.control = self.enter_context(socket.socket(socket.AF_UNIX))
        self.control.connect(f"{listen}.ctl")
        self.lines = self.enter_context(self.control.makefile("r", encoding="utf-8"))
        self.lines.readline()
        for i in range(self.count):
            self.plug(i)
        self.speak()
        until(lambda: all(link["macs"] for link in self.ask("links")["links"]), "all MACs")

    def ask(self, verb, **args):
        self.control.sendall(json.dumps({"id": 1, "verb": verb, "args": args}).encode() + b"\n")
        while True:
            line = json.loads(self.lines.readline())
            if "error" in line:
                raise RuntimeError(f"vnet: {verb}: {line['error']['message']}")
            if "ok" in line:
                return line["ok"]

    def plug(self, i):
        sock = self.client()
        plug = self.ask("plug", kind="private", path=sock.getsockname(), mac=mac(i).hex(":"))
        sock.connect(plug["address"])
        self.ask("connected", plug=plug["plug"])


class Vde(Relay):
    """vde_switch, spoken to as its library does: a request on its control socket tells the client's
    address, the answer the address of the port."""

    REQUEST = struct.Struct("=III")
    MAGIC, VERSION, NEW = 0xFEEDFACE, 3, 0
    ADDRESS, DESCRIPTION = 108, 128

    def __init__(self, place):
        super().__init__(place, "vde")

    def build(self):
        self.start([VDE, "--sock", self.dir / "switch"], stdout=subprocess.DEVNULL)
        control = self.dir / "switch" / "ctl"
        until(control.exists, "vde_switch")
        for _ in range(2):
            self.plug(control)
        self.speak()

    def plug(self, control):
        sock, stream = self.client(), self.enter_context(socket.socket(socket.AF_UNIX))
        stream.connect(str(control))
        stream.send(self.REQUEST.pack(self.MAGIC, self.VERSION, self.NEW)
                    + struct.pack("=H108s", socket.AF_UNIX, sock.getsockname().encode())
                    + bytes(self.DESCRIPTION))
        answer = stream.recv(2 + self.ADDRESS)
        sock.connect(answer[2:].split(b"\0")[0].decode())


def load(relay, size, seconds, clients=None, burst=1):
    """Frames for `seconds`: what bench-load says, as a dict."""
    relay.hush()
    fds = [sock.fileno() for sock in (clients or relay.clients)]
    return run("bench-load", relay.pid, size, seconds, burst, *fds, fds=fds)


def run(program, *args, fds=()):
    done = subprocess.run([str(PROGRAMS / program), *map(str, args)], check=True, pass_fds=fds,
                          stdout=subprocess.PIPE, timeout=TIMEOUT)
    return json.loads(done.stdout)


def many_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
