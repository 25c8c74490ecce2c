"""Figures: two rows of times, a ratio, a promise; and the table they make."""
import math
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field


@dataclass
class Figure:
    """What tailmac takes beside what `other` takes; the median of the rounds' ratios must stay below
    `limit`. None: shown for comparison, nothing is promised."""
    what: str
    other: str
    limit: float | None
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)

    def round(self, i, ours, theirs):
        """Measures both; who comes first changes from round to round."""
        pairs = [(self.ours, ours), (self.theirs, theirs)]
        for times, measure in reversed(pairs) if i % 2 else pairs:
            times.append(measure())

    def last(self):
        return f"{self.ours[-1]:.3f} s, {self.other} {self.theirs[-1]:.3f} s"

    @property
    def complete(self):
        return bool(self.ours and self.theirs)

    @property
    def ratio(self):
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs))

    @property
    def met(self):
        return self.limit is None or not self.complete or self.ratio <= self.limit


def p95(times):
    """Nearest rank: of few times the greatest."""
    return sorted(times)[math.ceil(0.95 * len(times)) - 1]


def show(figure):
    doc = {"what": figure.what, "other": figure.other, "limit": figure.limit, "met": figure.met,
           "ours": figure.ours, "theirs": figure.theirs}
    if figure.complete:
        doc |= {"ratio": figure.ratio, "median": [statistics.median(figure.ours),
                                                  statistics.median(figure.theirs)]}
    return doc


def brief(times):
    return f"{statistics.median(times):.3f} / {p95(times):.3f}" if times else "-"


def row(figure):
    start = [figure.what, figure.other, brief(figure.ours), brief(figure.theirs)]
    if not figure.complete:
        return [*start, "-", "", "not compared"]
    if figure.limit is None:
        return [*start, f"{figure.ratio:.2f}", "", ""]
    return [*start, f"{figure.ratio:.2f}", f"<= {figure.limit:.2f}",
            "met" if figure.met else "MISSED"]


HEAD = ["what", "beside", "ours s, median / p95", "theirs", "ratio", "promised", ""]


def print_table(figures):
    rows = [HEAD, *map(row, figures)]
    widths = [max(len(line[i]) for line in rows) for i in range(len(HEAD))]
    for line in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def first_line(argv):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        return f"no {argv[0]}"


def facts(place):
    """One line on the machine; load, since others may be at work on it."""
    vm_id = place.vm("facts")
    with place.running(vm_id):
        accelerator = place.status(vm_id)["engine"]["accelerator"]
    place.tailmac("delete", vm_id)
    fs = first_line(["stat", "-f", "-c", "%T", str(place.dir)])
    version = first_line(["qemu-system-x86_64", "--version"]).removeprefix("QEMU emulator ")
    return (f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, "
            f"QEMU {version.split(' (')[0]}, {accelerator}, {fs}, load {os.getloadavg()[0]:.1f}")
