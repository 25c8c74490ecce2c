"""A libvirt of our own: libvirtd in session mode, its files below one directory, and one guest."""
import contextlib
import os
import pwd
import re
import select
import shutil
import socket
import subprocess
import time
from xml.sax.saxutils import escape

from .agent import wait_ready
from .place import TIMEOUT, Network, bound, timed

NAME, MAC = "bench", "52:cc:cc:cc:cc:0f"
START = 30
LOOPBACK = ("127.0.0.1", 0)

# The machine of src/engine/qemu/argv.c in libvirt's words. Its frames are datagrams, too, but UDP's:
# libvirt has no NIC on a Unix socket.
DOMAIN = """<domain type='{kind}'>
  <name>{name}</name>
  <memory unit='b'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <kernel>{dir}/Kernel</kernel>
    <initrd>{dir}/Initrd</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/><apic/><vmport state='off'/></features>
  <cpu mode='custom' match='exact' check='none'>
    {cpu}
  </cpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{dir}/Disk.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <controller type='usb' model='none'/>
    <interface type='udp'>
      <mac address='{mac}'/>
      <source address='127.0.0.1' port='{network}'><local address='127.0.0.1' port='{nic}'/></source>
      <model type='virtio'/>
    </interface>
    <serial type='null'/>
    <channel type='unix'>
      <source mode='bind' path='{agent}'/>
      <target type='virtio' name='org.tailmac.agent.0'/>
    </channel>
    <rng model='virtio'><backend model='builtin'/></rng>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def cpu_xml(text):
    """QEMU's "Nehalem-v1,+rdrand" as libvirt writes it, which knows no versions of models."""
    model, *features = text.split(",")
    names = [f"<feature policy='{'require' if f[0] == '+' else 'disable'}' name='{f[1:]}'/>"
             for f in features]
    return f"<model fallback='forbid'>{re.sub('-v[0-9]+$', '', model)}</model>" + "".join(names)


def missing():
    """What libvirt lacks here, or None."""
    for program in ("virsh", "libvirtd"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            return f"no {program} here"
    return None


def free_port():
    with bound(socket.AF_INET, LOOPBACK) as probe:
        return probe.getsockname()[1]


class Libvirt:
    """As root libvirtd would be the system's; it runs as nobody, who has a session of his own."""

    def __init__(self, place):
        self.dir, self.sockets = place.dir / "libvirt", place.sockets / "v"
        self.user = {}
        self.env = {"PATH": os.environ["PATH"] + ":/usr/sbin", "LC_ALL": "C.UTF-8",
                    "HOME": str(self.dir), "XDG_RUNTIME_DIR": str(self.sockets)}
        for kind in ("config", "cache", "data", "state"):
            self.env[f"XDG_{kind.upper()}_HOME"] = str(self.dir / kind)
        self.dir.mkdir()
        self.sockets.mkdir()
        self.network = Network(bound(socket.AF_INET, LOOPBACK))
        self.agent = self.sockets / "agent"
        self.socket = self.sockets / "libvirt" / "libvirt-sock"
        if os.geteuid() == 0:
            self.give_to_nobody(place)
        # Else virtlogd is started, and outlives us.
        config = self.dir / "config" / "libvirt"
        config.mkdir(parents=True)
        (config / "qemu.conf").write_text('stdio_handler = "file"\n')
        self.own(config.parent, config)
        self.log = (self.dir / "libvirtd.log").open("wb")
        self.daemon = subprocess.Popen(["libvirtd", "--timeout", "600"], env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                       **self.user)
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self.wait_socket()
            undo.pop_all()

    def give_to_nobody(self, place):
        nobody = pwd.getpwnam("nobody")
        self.user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (place.dir, place.sockets):
            path.chmod(0o711)
        self.own(self.dir, self.sockets)

    def own(self, *paths):
        for path in paths:
            if self.user:
                os.chown(path, self.user["user"], self.user["group"])

    def wait_socket(self):
        """libvirtd tells nobody when it listens."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.socket)) == 0:
                    return
            if self.daemon.poll() is not None:
                break
            select.select([], [], [], 0.05)
        raise RuntimeError("libvirtd does not start: " + (self.dir / "libvirtd.log").read_text())

    def virsh(self, *args):
        """Seconds that `virsh ARGS` takes."""
        return timed(["virsh", "-q", "-c", f"qemu:///session?socket={self.socket}", *args],
                     env=self.env, **self.user)

    def define(self, vm_dir, config, engine):
        """A domain on a copy of a VM's files; `engine` as in its status."""
        copy = self.dir / "vm"
        copy.mkdir()
        self.own(copy)
        for name in ("Kernel", "Initrd", "Disk.img"):
            subprocess.run(["cp", "--sparse=always", str(vm_dir / name), str(copy / name)], check=True)
            self.own(copy / name)
        xml = self.dir / "domain.xml"
        xml.write_text(DOMAIN.format(kind="kvm" if engine["accelerator"] == "kvm" else "qemu",
                                     name=NAME, memory=config["memorySize"], dir=copy,
                                     machine=engine["machine"], cpu=cpu_xml(engine["cpu"]),
                                     cmdline=escape(config["cmdline"]), agent=self.agent, mac=MAC,
                                     network=self.network.sock.getsockname()[1], nic=free_port()))
        self.own(xml)
        self.virsh("define", xml)

    def wait_ready(self):
        """Until the guest's agent answers; the same greeting that Host sends."""
        with socket.socket(socket.AF_UNIX) as agent:
            agent.connect(str(self.agent))
            wait_ready(agent, TIMEOUT)

    def close(self):
        """Ends the guest, then the daemon: a guest outlives its daemon."""
        if self.socket.exists() and self.daemon.poll() is None:
            for args in (["destroy", NAME], ["managedsave-remove", NAME], ["undefine", NAME]):
                with contextlib.suppress(RuntimeError):
                    self.virsh(*args)
        self.daemon.terminate()
        self.daemon.wait()
        self.log.close()
        self.network.close()
        shutil.rmtree(self.dir)
        shutil.rmtree(self.sockets)
