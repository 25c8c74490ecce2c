"""Saving and resuming a running guest: tailmac stop and run beside virsh managedsave and start."""
import contextlib
import json

from . import libvirt
from .place import settle
from .table import Figure

DURABLE, QUICK, RESUME = 1.0, 1 / 5, 1 / 2


class Ours:
    def __init__(self, place):
        self.place, self.id = place, place.vm("save")
        self.run()

    def run(self):
        settle()
        seconds = self.place.tailmac("run", self.id, "--headless")
        self.place.tailmac("wait", self.id, "--for", "ready")
        return seconds

    def stop(self, *options):
        settle()
        return self.place.tailmac("stop", self.id, *options)

    def close(self):
        self.place.tailmac("halt", self.id)
        self.place.tailmac("delete", self.id)


class Theirs:
    """The same kernel, initrd, disk, memory and processor in libvirt."""

    def __init__(self, place, vm_id):
        self.libvirt = libvirt.Libvirt(place)
        with contextlib.ExitStack() as undo:
            undo.callback(self.libvirt.close)
            files = place.bundle / vm_id
            config = json.loads((files / "config.json").read_text())
            self.libvirt.define(files, config, place.status(vm_id)["engine"])
            self.run()
            undo.pop_all()

    def run(self):
        settle()
        seconds = self.libvirt.virsh("start", libvirt.NAME)
        self.libvirt.wait_ready()
        return seconds

    def stop(self):
        settle()
        return self.libvirt.virsh("managedsave", libvirt.NAME)

    def close(self):
        self.libvirt.close()


def our_round(ours, quick, durable, resume):
    quick.ours.append(ours.stop("--no-sync"))
    resume.ours.append(ours.run())
    durable.ours.append(ours.stop())
    resume.ours.append(ours.run())


def their_round(theirs, quick, durable, resume):
    seconds = theirs.stop()
    quick.theirs.append(seconds)
    durable.theirs.append(seconds)
    resume.theirs.append(theirs.run())


def measure(place, rounds, figures, progress):
    quick = Figure("stop --no-sync", "virsh managedsave", QUICK)
    durable = Figure("stop (durable)", "virsh managedsave (not durable)", DURABLE)
    resume = Figure("run from saved", "virsh start from saved", RESUME)
    figures += [quick, durable, resume]
    lack = libvirt.missing()
    if lack:
        progress(f"save: {lack}: tailmac alone")
    with contextlib.ExitStack() as stack:
        ours = Ours(place)
        stack.callback(ours.close)
        theirs = None
        if not lack:
            theirs = Theirs(place, ours.id)
            stack.callback(theirs.close)
        for i in range(rounds):
            one_round(i, ours, theirs, (quick, durable, resume))
            progress(f"save {i + 1}/{rounds}: "
                     + ", ".join(f"{f.what} {f.ours[-1]:.3f} s" for f in (quick, durable, resume))
                     + (f"; libvirt {quick.theirs[-1]:.3f} s, {resume.theirs[-1]:.3f} s"
                        if theirs else ""))


def one_round(i, ours, theirs, figures):
    """Who comes first changes; the one that is not measured idles meanwhile."""
    turns = [lambda: our_round(ours, *figures)]
    if theirs:
        turns.insert(i % 2, lambda: their_round(theirs, *figures))
    for turn in turns:
        turn()
