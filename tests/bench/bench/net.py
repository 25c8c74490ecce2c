"""vnet beside vde_switch and a bare loop; its timers; what many plugs cost; its core alone."""
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from .place import need
from .relay import PROGRAMS, VDE, VNET, Bare, Vde, Vnet, load, many_files, run
from .table import Figure, Sheet

SIZES = (64, 512, 1514, 9014)
SECONDS = 0.5      # of one load
BARE_FLOOR = 0.7   # of the bare loop's frames
VDE_FLOORS = {64: 1.5, 1514: 2.0}
VDE_CPU = 0.6      # of vde_switch's processor time, instead
PLUGS_LIMIT = 2.0  # of what a frame costs between two


# --- frames from one client to another ---

class Side:
    """What one relay did at one size, round by round."""

    def __init__(self, relay, size):
        self.relay, self.size, self.runs = relay, size, []

    def measure(self):
        self.runs.append(load(self.relay, self.size, SECONDS))

    def rate(self):
        return [one["frames"] / one["ns"] * 1e6 for one in self.runs]

    def cpu(self):
        return [one["cpu_ns"] / max(one["frames"], 1) for one in self.runs]

    def loss(self):
        return [100 * one["lost"] / one["sent"] for one in self.runs]

    def row(self, name):
        rate = statistics.median(self.rate())
        return [f"{self.size} B", name, f"{rate:.0f}", f"{rate * self.size * 8 / 1e6:.2f}",
                f"{statistics.median(self.cpu()):.0f}", f"{statistics.median(self.loss()):.1f}"]


def compare(size, ours, other, theirs):
    """Frames, and processor time for each that arrived."""
    frames = Figure(f"frames, {size} B", other, BARE_FLOOR if other == "bare" else VDE_FLOORS.get(size),
                    ours.rate(), theirs.rate(), unit="k/s", more=True)
    cpu = Figure(f"CPU a frame, {size} B", other, None, ours.cpu(), theirs.cpu(), unit="ns")
    if other == "vde_switch" and frames.limit is not None:
        frames.instead = Figure("", "", VDE_CPU, cpu.ours, cpu.theirs)
    return [frames, cpu]


def throughput(place, rounds, figures, progress):
    makers = {"vnet": Vnet, "bare": Bare} | ({"vde_switch": Vde} if VDE else {})
    if not VDE:
        progress("net: no vde_switch here (Debian: vde-switch): not compared with it")
    sheet = Sheet("frames from one client to another",
                  ["size", "relay", "k frames/s", "Gbit/s", "CPU ns a frame", "loss %"])
    with contextlib.ExitStack() as stack:
        relays = {name: stack.enter_context(make(place)) for name, make in makers.items()}
        for size in SIZES:
            sides = {name: Side(relay, size) for name, relay in relays.items()}
            for i in range(rounds):
                for side in list(sides.values())[::-1 if i % 2 else 1]:
                    side.measure()
            sheet.rows += [side.row(name) for name, side in sides.items()]
            for other in list(sides)[1:]:
                figures += compare(size, sides["vnet"], other, sides[other])
            progress(f"net {size} B: " + ", ".join(" ".join(side.row(name)[1:3])
                                                   for name, side in sides.items()))
    return sheet


# --- how late a delayed frame is ---

DELAY_NS = 5_000_000
RATES = (1_000, 20_000)
BUSY = 2
LAB = """
networks: { lan: { lan: 192.168.0.1/24 } }
nodes: { b: { mac: "52:bb:00:00:00:01", network: lan, link: { down: { delay: 5ms } } } }
"""


@contextlib.contextmanager
def spinning(place, count):
    """VMs whose guests do nothing but run; they are paused."""
    with contextlib.ExitStack() as stack:
        ids = []
        for i in range(count):
            ids.append(place.vm(f"busy{i}"))
            stack.callback(place.tailmac, "delete", ids[-1])
            stack.enter_context(place.running(ids[-1]))
            place.tailmac("exec", ids[-1], "--", "sh", "-c", "while :; do :; done </dev/null >/dev/null 2>&1 &")
            place.tailmac("pause", ids[-1])
        yield ids


@contextlib.contextmanager
def going_on(place, ids):
    for vm_id in ids:
        place.tailmac("resume", vm_id)
    try:
        yield
    finally:
        for vm_id in ids:
            place.tailmac("pause", vm_id)


def lateness(relay, rate):
    relay.hush()
    fds = [sock.fileno() for sock in relay.clients]
    return run("bench-delay", rate, SECONDS * 2, DELAY_NS, *fds, fds=fds)


def timers(place, rounds, progress):
    sheet = Sheet("µs that a frame comes later out of a link with a delay of 5 ms",
                  ["frames/s", "machine", "vnet", "p50", "p99", "greatest"])
    cases = [(rate, vms, name) for rate in RATES for vms in (0, BUSY) for name in ("plain", "realtime")]
    results = {case: [] for case in cases}
    with contextlib.ExitStack() as stack:
        relays = {name: stack.enter_context(Vnet(place, name, lab=LAB, args=args))
                  for name, args in {"plain": [], "realtime": ["--realtime"]}.items()}
        ids = stack.enter_context(spinning(place, BUSY))
        for i in range(rounds):
            for rate, vms, name in cases[::-1 if i % 2 else 1]:
                with going_on(place, ids[:vms]):
                    results[rate, vms, name].append(lateness(relays[name], rate))
            progress(f"net timers {i + 1}/{rounds}")
    for (rate, vms, name), runs in results.items():
        middle = [f"{statistics.median(one[key] for one in runs):.0f}" for key in ("p50", "p99", "max")]
        sheet.rows.append([f"{rate}", f"{vms} busy VMs" if vms else "quiet",
                           "--realtime" if name == "realtime" else "", *middle])
    return sheet


# --- many plugs ---

PLUGS = (2, 10, 100, 1000)
PLUGS_SIZE, BURST = 512, 32


def memory(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cost(relay, clients=None):
    one = load(relay, PLUGS_SIZE, SECONDS, clients, BURST)
    return one["cpu_ns"] / max(one["frames"], 1)


def plugs(place, rounds, figures, progress):
    """Two of them speak; and each speaks to the next."""
    many_files()
    sheet = Sheet(f"processor time for each frame of {PLUGS_SIZE} B that arrives",
                  ["plugs", "two speak, ns", "all speak, ns", "memory MiB"])
    two, everyone = {n: [] for n in PLUGS}, {n: [] for n in PLUGS}
    rows = {}
    with contextlib.ExitStack() as stack:
        relays = {n: stack.enter_context(Vnet(place, f"plugs-{n}", n)) for n in PLUGS}
        for i in range(rounds):
            for n, relay in list(relays.items())[::-1 if i % 2 else 1]:
                two[n].append(cost(relay, relay.clients[:2]))
                everyone[n].append(cost(relay))
            progress(f"net plugs {i + 1}/{rounds}")
        for n, relay in relays.items():
            rows[n] = f"{memory(relay.pid) / 2**20:.0f}"
    for n in PLUGS:
        sheet.rows.append([f"{n}", f"{statistics.median(two[n]):.0f}",
                           f"{statistics.median(everyone[n]):.0f}", rows[n]])
    last = PLUGS[-1]
    figures += [Figure(f"CPU a frame, {last} plugs", "2 plugs", PLUGS_LIMIT, two[last], two[2], unit="ns"),
                Figure(f"CPU a frame, {last} plugs, all speak", "2 plugs", PLUGS_LIMIT, everyone[last],
                       everyone[2], unit="ns")]
    return sheet


# --- the core alone ---

KINDS = {"switched": "between two plugs", "delayed": "the same, 5 ms late", "routed": "IPv4, two networks"}
CORE_FRAMES = 1_000_000
COUNTED = (2_000, 12_000)  # frames under callgrind; the difference has no start in it


def instructions(kind, size, frames):
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}/out",
                               str(PROGRAMS / "bench-core"), kind, str(size), str(frames)],
                              check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def count(kind, size):
    if not shutil.which("valgrind"):
        return "n/a"
    few, many = (instructions(kind, size, frames) for frames in COUNTED)
    return f"{(many - few) / (COUNTED[1] - COUNTED[0]):.0f}"


def core(rounds, progress):
    sheet = Sheet("the core alone, in virtual time", ["frames", "size", "M frames/s", "instructions a frame"])
    for kind, words in KINDS.items():
        for size in (64, 1514):
            rates = [run("bench-core", kind, size, CORE_FRAMES)["per_second"] for _ in range(rounds)]
            sheet.rows.append([words, f"{size} B", f"{statistics.median(rates) / 1e6:.1f}", count(kind, size)])
            progress(f"net core: {', '.join(sheet.rows[-1])}")
    return sheet


def measure(place, rounds, figures, progress):
    need(PROGRAMS / "bench-load", "run make first")
    need(VNET, "run make first")
    return [throughput(place, rounds, figures, progress), timers(place, rounds, progress),
            plugs(place, rounds, figures, progress), core(rounds, progress)]
