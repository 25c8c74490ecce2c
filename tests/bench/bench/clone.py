"""A clone of a VM with 1 GiB of data in its disk, beside cp of the same directory."""
import os
import shutil

from .place import settle, timed
from .table import Figure

LIMIT = 1.1  # as fast, with a tenth for the noise of the disk
MIB = 1 << 20
RUN, RUNS = 64 * MIB, 16  # data and holes by turns: 1 GiB of data in a disk of 2 GiB


def fill(path):
    block = os.urandom(MIB)
    with open(path, "r+b") as disk:
        for run in range(RUNS):
            disk.seek(2 * run * RUN)
            for i in range(RUN // MIB):
                # No two blocks alike, or a file system that finds twins would have it easy.
                disk.write(i.to_bytes(8, "little") + run.to_bytes(8, "little") + block[16:])
        disk.truncate(2 * RUNS * RUN)


def read(path):
    """The whole file is in memory afterwards, for whoever copies it next."""
    with open(path, "rb") as file:
        while file.read(16 * MIB):
            pass


class Copies:
    def __init__(self, place):
        self.place = place
        self.id = place.vm("data")
        self.source = place.bundle / self.id
        fill(self.source / "Disk.img")

    def prepare(self):
        read(self.source / "Disk.img")
        settle()

    def clone(self, *options):
        self.prepare()
        seconds = self.place.tailmac("clone", self.id, f"{self.id}-c", *options)
        self.place.tailmac("delete", f"{self.id}-c")
        return seconds

    def cp(self, sync=False):
        """With `sync` as durable as `tailmac clone --sync`."""
        self.prepare()
        target = self.place.dir / "copy"
        seconds = timed(["cp", "-r", "--sparse=always", "--reflink=auto", self.source, target])
        if sync:
            seconds += timed(["sync", "-f", target])
        shutil.rmtree(target)
        return seconds


def measure(place, rounds, figures, progress):
    copies = Copies(place)
    promised = Figure("clone, 1 GiB of data", "cp --sparse=always --reflink=auto", LIMIT)
    durable = Figure("clone --sync", "the same cp, then sync", LIMIT)
    figures += [promised, durable]
    for i in range(rounds):
        promised.round(i, copies.clone, copies.cp)
        durable.round(i, lambda: copies.clone("--sync"), lambda: copies.cp(sync=True))
        progress(f"clone {i + 1}/{rounds}: {promised.last()}; and sync {durable.theirs[-1]:.3f} s")
    place.tailmac("delete", copies.id)
