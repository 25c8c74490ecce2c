"""A cold boot: `tailmac run --wait ready` beside plain QEMU with the same machine."""
import contextlib
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

from .agent import wait_ready
from .place import TIMEOUT, settle
from .table import Figure

LIMIT = 1.15

# What only serves tailmac: the option and its argument, or the option alone.
OURS = {"-S": 0, "-sandbox": 1, "-mon": 1, "-action": 1, "-name": 1}


def value_of(text):
    """An option's argument as a dict, whichever way it is written."""
    if text.startswith("{"):
        return json.loads(text)
    return dict(part.partition("=")[::2] for part in text.split(","))


def plain_argv(argv, files, network, own):
    """Turns the arguments of tailmac's QEMU into those of somebody who starts QEMU by hand: ordinary
    memory, no monitor, a NIC straight on the socket. Devices, machine, processor stay. `files` are
    the descriptors of console and agent, by chardev id."""
    out, rest = [argv[0]], iter(argv[1:])
    for option in rest:
        if option in OURS:
            for _ in range(OURS[option]):
                next(rest)
            continue
        if option in ("-nodefaults", "-no-user-config"):
            out.append(option)
            continue
        out += plain_option(option, next(rest), files, network, own)
    return out


def plain_option(option, text, files, network, own):
    value = value_of(text)
    if option == "-object" and value.get("qom-type") == "memory-backend-file":
        return []
    if option == "-machine":
        text = ",".join(part for part in text.split(",") if not part.startswith("memory-backend="))
    elif option == "-chardev":
        if value["id"] not in files:
            return []
        text = f"socket,id={value['id']},fd={files[value['id']]}"
    elif option == "-netdev" and value["type"] == "dgram":
        value |= {"local": {"type": "unix", "path": own}, "remote": {"type": "unix", "path": network}}
        text = json.dumps(value)
    elif option == "-netdev":
        return []
    elif option == "-device" and value["driver"] == "vhost-user-vsock-pci":
        return []
    elif option == "-device" and value["driver"] == "virtio-net-pci":
        text = json.dumps(value | {"netdev": "nic0b"})
    return [option, text]


def engine_argv(place, vm_id):
    """How tailmac starts QEMU, from a running one: what is compared cannot drift apart."""
    with place.running(vm_id):
        pid = place.status(vm_id)["engine_pid"]
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").rstrip("\0").split("\0")


class Plain:
    """QEMU by hand in a copy of the VM's directory."""

    def __init__(self, place, vm_id):
        self.argv, self.place = engine_argv(place, vm_id), place
        self.dir = place.dir / f"plain-{vm_id}"
        shutil.copytree(place.bundle / vm_id, self.dir)
        self.nic = place.sockets / "plain-nic"

    @contextlib.contextmanager
    def running(self):
        """When the process was started, and its agent's socket."""
        with contextlib.ExitStack() as stack:
            console, agent = (socket.socketpair() for _ in range(2))
            for sock in (*console, *agent):
                stack.callback(sock.close)
            files = {"console": console[1].fileno(), "agent": agent[1].fileno()}
            argv = plain_argv(self.argv, files, self.place.net, str(self.nic))
            start = time.monotonic()
            child = subprocess.Popen(argv, cwd=self.dir, pass_fds=files.values(),
                                     stdin=subprocess.DEVNULL)
            try:
                yield start, agent[0]
            finally:
                child.kill()
                child.wait()
                self.nic.unlink(missing_ok=True)

    def boot(self):
        """Seconds from before the process is started until the guest's agent answers."""
        with self.running() as (start, agent):
            wait_ready(agent, TIMEOUT)
            return time.monotonic() - start


def boot_ours(place, vm_id):
    seconds = place.tailmac("run", vm_id, "--headless", "--wait", "ready")
    place.tailmac("halt", vm_id)
    return seconds


def measure(place, rounds, figures, progress):
    vm_id = place.vm("boot")
    plain = Plain(place, vm_id)
    figure = Figure("cold boot to ready", "plain QEMU", LIMIT)
    figures.append(figure)
    for i in range(rounds):
        settle()
        figure.round(i, lambda: boot_ours(place, vm_id), plain.boot)
        progress(f"boot {i + 1}/{rounds}: {figure.last()}")
    place.tailmac("delete", vm_id)
