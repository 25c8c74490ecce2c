"""A fork, to its guest's own first frame and to ready, beside the other ways to a guest that runs; and
what forks cost."""
import contextlib
import resource
import subprocess
import time
from pathlib import Path

from . import libvirt
from .agent import wait_ready
from .boot import Plain
from .place import TAILMAC, TIMEOUT, settle
from .relay import Vnet
from .save import Theirs
from .table import Figure, Sheet
from .talker import make_talk

BOOT, RESTORE, POOL = 1 / 12, 1 / 3, 1 / 40  # of a plain boot, of libvirt's restore; a pool's of a boot
MANY, LINEAR = (1, 2, 4, 8), 1.25  # at once; what one of the most may take beside one alone
IDLE, MEMORY, PERCENT = 10, 40, 0.5  # at once; MiB and CPU of each
BOOTED = 3  # seconds: what a guest does after its boot is over
REST = 20  # seconds: what a guest does after a resume is over, and as long it is watched
KIB = 1024
LAB = "networks: { net: { lan: 192.168.52.1/24 } }"


class Way:
    """To a guest that runs: start() returns when its agent is ready."""
    name, mac = None, None

    def __init__(self, place):
        self.place, self.network = place, place.network
        self.first, self.ready = [], []

    def prepare(self):
        pass

    def start(self):
        raise NotImplementedError

    def end(self):
        pass

    def round(self):
        self.prepare()
        settle()
        self.network.forget()
        begin = time.monotonic()
        self.start()
        self.ready.append(time.monotonic() - begin)
        self.first.append(self.network.wait_first(self.mac) - begin)
        self.end()

    def talker(self, name):
        vm_id = self.place.vm(name, "--mac", self.mac)
        make_talk(self.place.bundle / vm_id)
        return vm_id

    def saved(self, name):
        """Saved while it talks."""
        vm_id = self.talker(name)
        self.network.forget()
        self.place.tailmac("run", vm_id, "--headless", "--wait", "ready")
        self.network.wait_first(self.mac)
        time.sleep(BOOTED)
        self.place.tailmac("stop", vm_id)
        return vm_id


class Fork(Way):
    name, mac = "tailmac fork", "52:cc:cc:cc:cc:10"

    def __init__(self, place):
        super().__init__(place)
        self.base, self.made = self.saved("base"), None
        self.mac = "52:cc:cc:cc:cc:11"  # theirs, not the base's
        self.place.tailmac("halt", self.fork()["id"])  # the first one has the state verified

    def fork(self):
        return self.place.json("fork", self.base, "--macs", self.mac)["forks"][0]

    def start(self):
        self.made = self.fork()

    def end(self):
        self.place.tailmac("halt", self.made["id"])


class Pooled(Fork):
    """There is a pool only while it is measured: it is filled again in the background."""
    name = "tailmac fork, from a pool"

    def __init__(self, fork):
        Way.__init__(self, fork.place)
        self.base, self.made, self.mac = fork.base, None, "52:cc:cc:cc:cc:12"

    def prepare(self):
        self.place.tailmac("pool", self.base, "--size", 1)

    def end(self):
        super().end()
        self.place.tailmac("pool", self.base, "--drain")
        if not self.made["pooled"]:
            raise RuntimeError("this fork did not come out of the pool")


class Run(Way):
    name, mac = "tailmac run, from saved", "52:cc:cc:cc:cc:13"

    def __init__(self, place):
        super().__init__(place)
        self.id = self.saved("again")

    def start(self):
        self.place.tailmac("run", self.id, "--headless", "--wait", "ready")

    def end(self):
        self.place.tailmac("stop", self.id, "--no-sync")


class Cold(Run):
    name, mac = "tailmac run, cold boot", "52:cc:cc:cc:cc:14"

    def __init__(self, place):
        Way.__init__(self, place)
        self.id = self.talker("cold")

    def end(self):
        self.place.tailmac("halt", self.id)


class ColdPlain(Way):
    name, mac = "plain QEMU, cold boot", Cold.mac

    def __init__(self, cold):
        super().__init__(cold.place)
        self.plain, self.guest = Plain(self.place, cold.id), contextlib.ExitStack()

    def start(self):
        _, agent = self.guest.enter_context(self.plain.running())
        wait_ready(agent, TIMEOUT)

    def end(self):
        self.guest.close()


class Restore(Way):
    name, mac = "virsh start of a managed save", libvirt.MAC

    def __init__(self, cold, stack):
        super().__init__(cold.place)
        with self.place.running(cold.id):
            self.theirs = Theirs(self.place, cold.id)
        stack.callback(self.theirs.close)
        self.network = self.theirs.libvirt.network
        self.network.wait_first(self.mac)
        time.sleep(BOOTED)
        self.theirs.stop()

    def start(self):
        self.theirs.libvirt.virsh("start", libvirt.NAME)
        self.theirs.libvirt.wait_ready()

    def end(self):
        self.theirs.stop()


def has_pool():
    done = subprocess.run([str(TAILMAC), "pool", "--help"], check=False, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    return done.returncode == 0


def make_ways(place, stack, progress):
    fork, cold = Fork(place), Cold(place)
    ways = [fork, Run(place), cold, ColdPlain(cold)]
    if has_pool():
        ways.insert(1, Pooled(fork))
    lack = libvirt.missing()
    if lack:
        progress(f"fork: {lack}: without libvirt")
    else:
        ways.append(Restore(cold, stack))
    return ways


def compare(ways):
    """What is promised of the first frame, by the classes of what is compared."""
    by = {type(way): way for way in ways}
    promises = ((Fork, ColdPlain, BOOT), (Fork, Restore, RESTORE), (Pooled, ColdPlain, POOL))
    return [Figure(f"first frame, {by[a].name}", by[b].name, limit, by[a].first, by[b].first)
            for a, b, limit in promises if a in by and b in by]


def sheet_of(ways):
    brief = Figure("", "", None).brief
    return Sheet("From the command to the guest's own first frame and to its agent's answer, s, median / p95",
                 ["way", "first frame", "ready"], [[w.name, brief(w.first), brief(w.ready)] for w in ways])


def race(place, rounds, figures, progress):
    with contextlib.ExitStack() as stack:
        ways = make_ways(place, stack, progress)
        figures += compare(ways)
        for i in range(rounds):
            at = i % len(ways)
            for way in ways[at:] + ways[:at]:
                way.round()
            progress(f"fork {i + 1}/{rounds}: " + ", ".join(f"{w.name} {w.first[-1]:.3f} s" for w in ways))
        return sheet_of(ways)


# What they cost


def cpu_of(pid):
    """Seconds, by the process's CPU-time clock (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e9


def processes(forks):
    return [fork[key] for fork in forks for key in ("pid", "engine_pid")]


class Quiet:
    """A base whose guest has nothing to do. In a lab: one that gets no address asks for one all the time."""

    def __init__(self, place, lab):
        self.place, self.id, self.net = place, place.vm("quiet"), lab.dir / "net"
        self.place.tailmac("run", self.id, "--headless", "--attach-network", self.net)
        self.place.tailmac("wait", self.id, "--for", "ip")
        self.place.tailmac("stop", self.id)
        self.fork(1)  # has the state verified

    def fork(self, count, *options):
        """CPU seconds of `count` forks, the command included; ended again."""
        with self.forks(count, *options) as (forks, seconds):
            return seconds + sum(map(cpu_of, processes(forks)))

    @contextlib.contextmanager
    def forks(self, count, *options):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        forks = self.place.json("fork", self.id, "--count", count, "--network", self.net, *options)["forks"]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            yield forks, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        finally:
            for fork in forks:
                self.place.tailmac("halt", fork["id"])


def parallel(quiet, rounds, figures, progress):
    """Held, once they have their identity: what the first ones go on to do does not count."""
    each = {n: [] for n in MANY}
    figures.append(Figure(f"CPU of a fork, {MANY[-1]} at once", "one alone", LINEAR, each[MANY[-1]],
                          each[MANY[0]]))
    for i in range(rounds):
        for n in MANY[::-1] if i % 2 else MANY:
            each[n].append(quiet.fork(n, "--hold") / n)
        progress(f"forks {i + 1}/{rounds}: " + ", ".join(f"{n}: {each[n][-1]:.3f} s CPU each" for n in MANY))
    brief = figures[-1].brief
    return Sheet("CPU seconds of a fork until it has its identity, median / p95", ["at once", "each"],
                 [[str(n), brief(each[n])] for n in MANY])


def pss(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / KIB


def idle(quiet, figures, progress):
    memory = Figure(f"PSS of an idle fork, {IDLE} at once", f"{MEMORY} MiB", 1.0, unit="MiB")
    work = Figure(f"CPU of an idle fork, {IDLE} at once", f"{PERCENT} % of a core", 1.0, unit="%")
    with quiet.forks(IDLE, "--wait", "ip") as (forks, _):
        time.sleep(REST)
        before = [cpu_of(pid) for pid in processes(forks)]
        time.sleep(REST)
        used = [cpu_of(pid) - was for pid, was in zip(processes(forks), before)]
        memory.ours += [pss(fork["pid"]) + pss(fork["engine_pid"]) for fork in forks]
    work.ours += [100 * (host + engine) / REST for host, engine in zip(used[::2], used[1::2])]
    memory.theirs += [MEMORY] * IDLE
    work.theirs += [PERCENT] * IDLE
    figures += [memory, work]
    progress(f"idle forks: {memory.brief(memory.ours)} MiB, {work.brief(work.ours)} % of a core")


def measure(place, rounds, figures, progress):
    sheets = [race(place, rounds, figures, progress)]
    with Vnet(place, "fork", count=0, lab=LAB) as lab:
        quiet = Quiet(place, lab)
        sheets.append(parallel(quiet, rounds, figures, progress))
        idle(quiet, figures, progress)
    for vm_id in place.ids():
        place.tailmac("delete", vm_id)
    return sheets
