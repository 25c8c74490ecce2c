"""A guest that speaks all the time: what its network hears first tells when it runs."""
from .place import TOP

# To everybody, so that no answer is needed for it; often, so that its pause is short beside what is
# measured; one process that mostly sleeps, so that it takes nothing from who else is to run. It is
# started by init, so it is the same whoever starts the guest.
SPEAK = """#!/bin/sh
until ip addr add 192.0.2.1/24 broadcast + dev eth0; do sleep 1; done 2>/dev/null
while true; do ping -q -s 0 -i 0.005 192.0.2.255 >/dev/null 2>&1; sleep 0.1; done
"""
INITTAB = TOP / "images" / "tiny" / "root" / "etc" / "inittab"
FILE, EXECUTABLE = 0o100644, 0o100755


def entry(name, mode, data):
    """A file in a cpio archive, as the kernel wants it (newc)."""
    def padded(part):
        return part + bytes(-len(part) % 4)
    path, body = name.encode() + b"\0", data.encode()
    fields = (0, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields)
    return padded(head + path) + padded(body)


def make_talk(directory):
    """The VM's, which has not run yet. Of an initrd's archives the last one wins."""
    with (directory / "Initrd").open("ab") as initrd:
        initrd.write(bytes(-initrd.tell() % 4)
                     + entry("sbin/speak", EXECUTABLE, SPEAK)
                     + entry("etc/inittab", FILE, INITTAB.read_text() + "::respawn:/sbin/speak\n")
                     + entry("TRAILER!!!", 0, ""))
