"""An ssh server in a guest that has none: Debian's dropbear, put there by `tailmac exec`."""
import subprocess

from .place import TAILMAC, TIMEOUT, TOP, timed
from .relay import until

PACKAGES = ("dropbear-bin", "libtomcrypt1", "libtommath1", "libgmp10", "zlib1g", "libcrypt1", "libc6")
UNPACK = """
tar -x -f - -C / && mkdir -p /root/.ssh && mv /authorized_keys /root/.ssh/ &&
chown -R root:root /root && chmod -R go= /root && dropbearkey -t ed25519 -f /host-key >/dev/null 2>&1
"""


class Ssh:
    """Seconds of a command in the guest: run() over a connection of its own, shared() over one that is
    open."""

    def __init__(self, place, vm_id):
        self.place, self.id, self.dir = place, vm_id, place.dir / "ssh"
        self.pack()
        self.install()
        self.argv = ["ssh", "-F", "none", "-p", place.status(vm_id)["ssh_port"], "-i", self.dir / "key",
                     "-S", place.sockets / "ssh", "-o", "StrictHostKeyChecking=no",
                     "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]

    def __enter__(self):
        self.master = subprocess.Popen([str(arg) for arg in (*self.argv, "-M", "-N", "root@127.0.0.1")],
                                       stdin=subprocess.DEVNULL)
        until(lambda: (self.place.sockets / "ssh").exists() or self.master.poll() is not None, "ssh")
        return self

    def __exit__(self, *_):
        self.master.terminate()
        self.master.wait()

    def pack(self):
        root = self.dir / "root"
        root.mkdir(parents=True)
        debs = subprocess.run([TOP / "images" / "fetch-debs.sh", "amd64", *PACKAGES], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=TIMEOUT).stdout.split()
        for deb in debs:
            timed(["dpkg-deb", "-x", deb, root])
        timed(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / "key"])
        (self.dir / "key.pub").rename(root / "authorized_keys")
        timed(["tar", "-C", root, "--exclude=./usr/share", "--exclude=gconv", "--owner=0", "--group=0",
               "-cf", self.dir / "root.tar", "."])

    def install(self):
        with (self.dir / "root.tar").open("rb") as archive:
            subprocess.run([TAILMAC, "exec", self.id, "--", "sh", "-c", UNPACK], check=True, stdin=archive,
                           env=self.place.env, timeout=TIMEOUT)
        self.place.tailmac("exec", "--detach", self.id, "--", "dropbear", "-F", "-r", "/host-key")
        self.place.tailmac("exec", self.id, "--", "sh", "-c",
                           "until grep -q ':0016 ' /proc/net/tcp; do sleep 0.1; done")

    def run(self, *words):
        return timed([*self.argv, "-S", "none", "root@127.0.0.1", *words])

    def shared(self, *words):
        return timed([*self.argv, "root@127.0.0.1", *words])
