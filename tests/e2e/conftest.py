"""Options and fixtures. Every test that asks for `tm` gets a world of its own and must leave nothing."""
import os
import signal
import random
from pathlib import Path

import pytest

from lab.confined import Confined
from lab.saved import Saved
from lab.tailmac import Tailmac
from lab.vnet import Node, Vnet
from lab.world import World

REPOSITORY = Path(__file__).resolve().parents[2]
LOGS = ("host.log", "engine.log", "console.log")


def pytest_configure():
    """A shell that starts us in the background has us, and so all our children, ignore ^C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="repeat what may fail rarely many more times")
    parser.addoption("--arch", default="x86_64", choices=("x86_64", "aarch64"), help="of the guests")
    parser.addoption("--seed", type=int, help="of the random choices; a failing test prints its own")


@pytest.fixture
def count(request):
    """count(short, long): how often to repeat, the long way with --soak."""
    return lambda short, long: long if request.config.getoption("--soak") else short


@pytest.fixture
def rng(request):
    seed = request.config.getoption("--seed")
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"repeat with --seed {seed}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def binaries():
    """Where tailmac and Host are: $TAILMAC_BIN, or bin/ of this checkout."""
    place = Path(os.environ.get("TAILMAC_BIN", REPOSITORY / "bin"))
    assert (place / "tailmac").exists(), f"{place}/tailmac does not exist: run make first"
    return place


def new_world(config):
    return World(REPOSITORY / "bin" / "images" / f"tiny-{config.getoption('--arch')}.tar.zst")


def end(world):
    complaints = world.end()
    assert not complaints, "left behind:\n" + "\n".join(complaints)


@pytest.fixture
def world(request):
    return new_world(request.config)


@pytest.fixture
def tm(request, binaries, world):
    """The command line in the test's world; at the end nothing of it may be left."""
    tailmac = Tailmac(world, binaries)
    yield tailmac
    show_logs(request, world)
    end(world)


@pytest.fixture
def make_vnet(tm, binaries, world):
    """make_vnet(name="net", lab=text, args=…) → a Vnet, which ends with the test."""
    return lambda *args, **options: world.keep(Vnet(world, binaries / "vnet", *args, **options))


@pytest.fixture
def make_node(binaries, world):
    """make_node(vnet, mac, name=None) → a namespace plugged into it."""
    return lambda vnet, *args, **options: world.keep(Node(vnet, binaries / "vnet", *args, **options))


@pytest.fixture
def confined(tm, binaries, world):
    """confined(size) → a Tailmac whose bundle is a file system of that size, soon full; `tm` ends it."""
    def make(size):
        return Tailmac(world, binaries, world.keep(Confined(world.bundle, size)))
    return make


@pytest.fixture
def server(world):
    """The network most tests want: everything answered, at world.sock("net")."""
    return world.server()


@pytest.fixture(scope="session")
def saved(request, binaries):
    """The VM that is booted and saved once for all tests of this process."""
    world = new_world(request.config)
    yield Saved(world, binaries)
    end(world)


@pytest.fixture
def saved_vm(tm, saved):
    """saved_vm(name, mac=…) → a copy of it at rest, which start() resumes, on the network as `vm` is."""
    return lambda name, **config: saved.copy(tm, name, **config)


@pytest.fixture
def vm(saved_vm, server):
    """A running VM on that network, whose agent answers. It was resumed: see `booted`."""
    guest = saved_vm("a")
    guest.start()
    return guest


@pytest.fixture
def booted(tm, server):
    """The same after a cold boot, for tests of what a boot does or leaves behind."""
    guest = tm.vm("a").create()
    guest.start()
    return guest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call":
        item.failed = report.failed


def show_logs(request, world):
    """The ends of the VMs' logs, into the report of a test that failed."""
    if not getattr(request.node, "failed", False):
        return
    for log in sorted(path for tm in world.commands for name in LOGS
                      for path in tm.bundle.glob(f"*/{name}")):
        print(f"--- {log.parent.name}/{log.name}\n{log.read_text(errors='replace')[-3000:]}")
