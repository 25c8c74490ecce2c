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
    `limit`, or above it where `more` is better. None: shown for comparison, nothing is promised.
    `instead` may be met in its place."""
    what: str
    other: str
    limit: float | None
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)
    unit: str = "s"
    more: bool = False
    instead: "Figure | None" = None

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
    def kept(self):
        return self.ratio >= self.limit if self.more else self.ratio <= self.limit

    @property
    def met(self):
        return (self.limit is None or not self.complete or self.kept
                or (self.instead is not None and self.instead.met))

    def brief(self, values):
        """The median and the worst of twenty."""
        if not values:
            return "-"
        digits = {"s": 3, "%": 2}.get(self.unit, 0)
        return f"{statistics.median(values):.{digits}f} / {p95(values, self.more):.{digits}f}"


@dataclass
class Sheet:
    """Rows of text under a title: what is measured and not compared."""
    title: str
    head: list
    rows: list = field(default_factory=list)

    def print(self):
        print(f"\n{self.title}")
        print_rows([self.head, *self.rows])


def p95(values, more=False):
    """Nearest rank, from the good end to the bad: of few values the worst."""
    return sorted(values, reverse=more)[math.ceil(0.95 * len(values)) - 1]


def show(figure):
    doc = {"what": figure.what, "other": figure.other, "unit": figure.unit, "limit": figure.limit,
           "more": figure.more, "met": figure.met, "ours": figure.ours, "theirs": figure.theirs}
    if figure.complete:
        doc |= {"ratio": figure.ratio, "median": [statistics.median(figure.ours),
                                                  statistics.median(figure.theirs)]}
    return doc


def verdict(figure):
    if not figure.met:
        return "MISSED"
    if figure.kept:
        return "met"
    return f"met by CPU time: {figure.instead.ratio:.2f}"


def promise(figure):
    text = f"{'>=' if figure.more else '<='} {figure.limit:.2f}"
    return text + (f", or CPU <= {figure.instead.limit:.2f}" if figure.instead else "")


def row(figure):
    start = [f"{figure.what}, {figure.unit}", figure.other, figure.brief(figure.ours),
             figure.brief(figure.theirs)]
    if not figure.complete:
        return [*start, "-", "", "not compared"]
    if figure.limit is None:
        return [*start, f"{figure.ratio:.2f}", "", ""]
    return [*start, f"{figure.ratio:.2f}", promise(figure), verdict(figure)]


HEAD = ["what", "beside", "ours, median / p95", "theirs", "ratio", "promised", ""]


def print_rows(rows):
    widths = [max(len(line[i]) for line in rows) for i in range(len(rows[0]))]
    for line in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def print_table(figures):
    print_rows([HEAD, *map(row, figures)])


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
