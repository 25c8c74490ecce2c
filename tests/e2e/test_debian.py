"""The Debian image. Building it takes minutes, so the whole of it is for --soak; what it is made from
is looked at always."""
import platform
import re
import subprocess
from pathlib import Path

import pytest

from lab.wait import BOOT, SOON, eventually

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE = REPOSITORY / "images" / "debian"
UNIT = "./lib/systemd/system/tailmac-agent.service"
SLOW = 4 * BOOT


def test_the_agent_can_be_packed_for_debian(tmp_path):
    done = subprocess.run([REPOSITORY / "images" / "agent" / "deb.sh", platform.machine(), tmp_path],
                          capture_output=True, text=True, check=True)
    listing = subprocess.run(["dpkg-deb", "-c", done.stdout.strip()], capture_output=True, text=True,
                             check=True).stdout
    for name in (UNIT, "./usr/sbin/tailmac-agent", "multi-user.target.wants/tailmac-agent.service -> .."):
        assert re.search(re.escape(name), listing), listing
    assert set(re.findall(r" (\w+/\w+) ", listing)) == {"root/root"}


def test_its_packages_go_together():
    packages = (RECIPE / "packages").read_text()
    subprocess.run(["mmdebstrap", "--simulate", "--quiet", "--variant=minbase", f"--include={packages}",
                    "bookworm", "/dev/null"], check=True, timeout=SLOW)


@pytest.fixture
def image(request):
    if not request.config.getoption("--soak"):
        pytest.skip("builds an image; --soak does")
    place = REPOSITORY / "bin" / "images"
    arch = platform.machine()
    subprocess.run([REPOSITORY / "scripts" / "build-images.sh", place, "debian", arch], check=True)
    return place / f"debian-{arch}.tar.zst"


def test_it_boots_and_is_logged_in_to(tm, server, image):
    vm = tm.vm("d").create("--ethermac", "52:cc:cc:cc:ce:07", image=image)
    vm.start("--nat-nic", timeout=SLOW)

    def guest(*command):
        return tm.run("exec", vm.id, "--", *command, timeout=SLOW).stdout.strip()
    assert guest("systemctl", "is-system-running", "--wait") == "running"
    assert guest("systemctl", "is-active", "tailmac-agent", "ssh", "systemd-networkd").split() == ["active"] * 3
    assert guest("dpkg-query", "-Wf", "${Status}", "tailmac-agent") == "install ok installed"
    for program in ("tcpdump", "curl", "iperf3", "ip"):
        guest("which", program)
    done = tm.run("ssh", vm.id, "--timeout", SLOW, "--", "hostname", timeout=SLOW)
    assert done.stdout == "debian\n"
    tm.run("ip", vm.id, "--nic", "nat", "--wait", SLOW, timeout=SLOW)  # the only one it has
    eventually(lambda: "root@debian" in (vm.dir / "console.log").read_text(), SOON, "a prompt on the console")
    boot = guest("cat", "/proc/sys/kernel/random/boot_id")
    vm.stop()
    vm.start("--nat-nic")
    assert guest("cat", "/proc/sys/kernel/random/boot_id") == boot
    assert tm.run("ssh", vm.id, "--", "id -un", timeout=SLOW).stdout == "root\n"
    tm.run("stop", vm.id, "--shutdown", timeout=SLOW)
    assert vm.at_rest() == "shutdown"
