"""Into the guest: `exec` beside ssh, and the agent's channel and vsock beside a virtio-serial port of plain
QEMU's and TCP over QEMU's user network, each way."""
import contextlib
import re
import socket
import statistics
import subprocess
import time

from .boot import Plain, plain_argv
from .egress import AMOUNT, MIB, Server
from .place import TAILMAC, TIMEOUT, TOP, need
from .ssh import Ssh
from .table import Figure

SOURCE = TOP / "tests" / "e2e" / "guest" / "vsock.c"
COMPILER = "/usr/bin/x86_64-linux-gnu-gcc"
PORT, HOST = 900, "10.0.2.2"  # of the vsock connections; the host as QEMU's user network has it
COUNT = AMOUNT >> 16
FROM = f"dd bs=64k count={COUNT} if=/dev/zero"
TO = "dd bs=64k of=/dev/null"


class Local(Server):
    """The same at a unix socket."""

    def __init__(self, path):
        super().__init__()
        self.sock.close()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen()
        self.sock.settimeout(TIMEOUT)


class Guest:
    """One of tailmac's, with a NIC on QEMU's user network. What sends or takes says MiB/s."""

    def __init__(self, place, vm_id, stack):
        self.place, self.id = place, vm_id
        self.tcp = stack.enter_context(Server())
        self.vsock = stack.enter_context(Local(f"{place.status(vm_id)['vsock']['path']}_{PORT}"))
        self.install()

    def install(self):
        program = self.place.dir / "vsock"
        subprocess.run([COMPILER, "-O2", "-static", "-s", "-o", program, SOURCE], check=True)
        with program.open("rb") as text:
            subprocess.run(self.exec("cat >/bin/vsock; chmod 755 /bin/vsock"), stdin=text, check=True,
                           env=self.place.env, timeout=TIMEOUT)

    def exec(self, command):
        return [str(TAILMAC), "exec", self.id, "--", "sh", "-c", command]

    def true(self):
        return self.place.tailmac("exec", self.id, "--", "true")

    def agent_from(self):
        return self.piped(f"{FROM} 2>/dev/null", stdout=subprocess.PIPE)

    def agent_to(self):
        return self.piped(f"{TO} 2>/dev/null", stdin=subprocess.PIPE)

    def piped(self, command, **pipe):
        start, count, data = time.monotonic(), 0, bytes(MIB)
        with subprocess.Popen(self.exec(command), env=self.place.env, **pipe) as child:
            if child.stdin:
                for _ in range(AMOUNT // MIB):
                    count += child.stdin.write(data)
                child.stdin.close()
            else:
                while got := child.stdout.read1(MIB):
                    count += len(got)
            if child.wait(TIMEOUT) != 0 or count != AMOUNT:
                raise RuntimeError(f"exec: {child.returncode}, {count} bytes")
        return AMOUNT / MIB / (time.monotonic() - start)

    def sent(self, server, command, work):
        self.place.tailmac("exec", "--detach", self.id, "--", "sh", "-c", command)
        return server.rate(work)

    def vsock_from(self):
        return self.sent(self.vsock, f"vsock write {PORT} {AMOUNT}", self.vsock.take)

    def vsock_to(self):
        return self.sent(self.vsock, f"vsock read {PORT} >/dev/null", self.vsock.send)

    def tcp_from(self):
        return self.sent(self.tcp, f"nc {HOST} {self.tcp.port} -e {FROM}", self.tcp.take)

    def tcp_to(self):
        return self.sent(self.tcp, f"nc {HOST} {self.tcp.port} -e {TO}", self.tcp.send)


class Serial:
    """The same guest in plain QEMU with one more virtio-serial port, whose other end is a socket of ours.
    Commands go to the shell on its console."""

    def __init__(self, place, vm_id, stack):
        plain = Plain(place, vm_id)
        pairs = {name: socket.socketpair() for name in ("console", "agent", "port")}
        for ours, theirs in pairs.values():
            stack.callback(ours.close)
            ours.settimeout(TIMEOUT)
        self.console, self.port = pairs["console"][0], pairs["port"][0]
        files = {name: theirs.fileno() for name, (_, theirs) in pairs.items()}
        argv = plain_argv(plain.argv, files, place.net, str(plain.nic))
        argv += ["-device", "virtio-serial-pci,id=bench", "-chardev", f"socket,id=port,fd={files['port']}",
                 "-device", "virtserialport,bus=bench.0,chardev=port,name=bench"]
        self.child = subprocess.Popen(argv, cwd=plain.dir, pass_fds=files.values(), stdin=subprocess.DEVNULL)
        stack.callback(self.end, plain)
        for _, theirs in pairs.values():
            theirs.close()
        self.data, self.buffer = bytes(MIB), bytearray(MIB)
        self.find_port()

    def end(self, plain):
        self.child.kill()
        self.child.wait()
        plain.nic.unlink(missing_ok=True)

    def expect(self, pattern):
        seen = ""
        while not (found := re.search(pattern, seen)):
            data = self.console.recv(65536)
            if not data:
                raise RuntimeError(f"plain QEMU ended: {seen}")
            seen += data.decode(errors="replace")
        return found

    def type(self, command):
        self.console.sendall(f"{command}; echo do''ne\n".encode())

    def find_port(self):
        self.expect("tiny# ")
        self.type("cd /dev; p=$(basename $(dirname $(grep -lx bench /sys/class/virtio-ports/*/name)))")
        self.expect("done\r")

    def sent(self):
        start, count = time.monotonic(), 0
        self.type(f"{FROM} of=$p 2>/dev/null")
        while count < AMOUNT:
            count += self.port.recv_into(self.buffer)
        self.expect("done\r")
        return AMOUNT / MIB / (time.monotonic() - start)

    def taken(self):
        start = time.monotonic()
        self.type(f"dd bs=64k iflag=fullblock count={COUNT} of=/dev/null if=$p 2>/dev/null")
        for _ in range(AMOUNT // MIB):
            self.port.sendall(self.data)
        self.expect("done\r")
        return AMOUNT / MIB / (time.monotonic() - start)


def round_trips(guest, ssh):
    return [(Figure("exec, there and back", "ssh", 1.0), guest.true, lambda: ssh.run("true")),
            (Figure("exec, there and back", "ssh, connection open", None), guest.true,
             lambda: ssh.shared("true"))]


def flows(guest, serial):
    made = []
    for what, way, ours, port, tcp in (
            ("agent", "from the guest", guest.agent_from, serial.sent, guest.tcp_from),
            ("agent", "to the guest", guest.agent_to, serial.taken, guest.tcp_to),
            ("vsock", "from the guest", guest.vsock_from, serial.sent, guest.tcp_from),
            ("vsock", "to the guest", guest.vsock_to, serial.taken, guest.tcp_to)):
        for other, theirs in (("virtio-serial", port), ("TCP, user network", tcp)):
            made.append((Figure(f"{what}, {way}", other, None, unit="MiB/s", more=True), ours, theirs))
    return made


def measure(place, rounds, figures, progress):
    need(COMPILER, "Debian's gcc-x86-64-linux-gnu, or gcc")
    with contextlib.ExitStack() as stack:
        vm_id = place.vm("guest")
        stack.callback(place.tailmac, "delete", vm_id)
        serial = Serial(place, vm_id, stack)
        stack.enter_context(place.running(vm_id, "--headless", "--nat-nic"))
        place.tailmac("wait", vm_id, "--for", "ip")
        guest = Guest(place, vm_id, stack)
        ssh = stack.enter_context(Ssh(place, vm_id))
        measures = round_trips(guest, ssh) + flows(guest, serial)
        figures += [figure for figure, _, _ in measures]
        for i in range(rounds):
            for figure, ours, theirs in measures:
                figure.round(i, ours, theirs)
            progress(f"guest {i + 1}/{rounds}")
    for figure, _, _ in measures:
        progress(f"{figure.what}: {statistics.median(figure.ours):.3g}, {figure.other} "
                 f"{statistics.median(figure.theirs):.3g} {figure.unit}")
