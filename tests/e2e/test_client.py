"""What the program does that this interface was first made for: one snapshot, and for each of its tests a
copy of the directory, a configuration of four keys, an address by vsock, and a kill."""
import json
import signal
import subprocess

import pytest

from lab import packet, router
from lab.vsock import GUEST, install
from lab.wait import BOOT, SOON, eventually

# In the snapshot there is a program that asks for its address until it is given one.
ASKER = f"""
until line=$({GUEST} read 51011 2>/dev/null) && [ "$line" != wait ]; do sleep 0.1; done
set -- $(echo "$line" | tr -c '0-9.' ' ')
ifconfig eth0 "$1" netmask "$2" && route add default gw "$3" && echo "$line" >/tmp/new &&
mv /tmp/new /tmp/told
"""


def host(tm, vm, *args):
    """As the program starts it: nothing between it and Host."""
    return tm.spawn("run", "--id", vm.id, "--headless", *args, program="Host")


@pytest.fixture
def snapshot(tm, request):
    """A VM that was saved by SIGINT."""
    vm = tm.vm("base").create()
    install(vm, request.config.getoption("--arch"))
    running = host(tm, vm, "--nat-nic")
    vm.until_ready(running)
    vm.wait("ip")
    vm.sh(f"cat >/tmp/asker <<'END'\n{ASKER}\nEND\nsetsid sh /tmp/asker </dev/null >/dev/null 2>&1 &")
    vm.let_go()
    running.interrupt()
    assert running.wait(BOOT) == 0, running.err
    assert (vm.dir / "SaveFile.vzvmsave").is_dir()
    return vm


def copy(tm, base, name, mac, sock, memory=256 << 20):
    """The four keys, and not one more."""
    vm = tm.vm(name)
    subprocess.run(["cp", "-r", base.dir, vm.dir], check=True)
    vm.write_config({"vmID": vm.id, "serverSocket": sock, "memorySize": memory, "mac": mac})
    return vm


def told(vm):
    """What its program was told, as soon as it was."""
    def ask():
        done = vm.tm.run("exec", vm.id, "--", "cat", "/tmp/told", check=False)
        return done.returncode == 0 and json.loads(done.stdout)
    return eventually(ask, BOOT, "an address by vsock")


def test_a_copy_for_each_test(tm, world, snapshot):
    nets = [world.server(name, off=("dhcp",)) for name in ("one", "two")]
    vms, runs = [], []
    for i, net in enumerate(nets):
        vm = copy(tm, snapshot, f"test{i}", f"52:cc:cc:cc:cc:0{i + 1}", net.path)
        vms.append(vm)
        runs.append(host(tm, vm, "--disconnected-nic", "--attach-network", net.path,
                         "--assign-ip", f"192.168.77.{i + 10}/{router.MASK}/{router.IP}"))
    for i, (vm, run, net) in enumerate(zip(vms, runs, nets)):
        vm.until_ready(run)
        assert told(vm) == {"ip": f"192.168.77.{i + 10}", "mask": router.MASK, "gw": router.IP}
        mac = vm.config["mac"]
        tm.run("exec", vm.id, "--", "ping", "-c", "1", "-W", str(SOON), router.IP)
        assert net.wait_frame(lambda seen: is_ping_from(seen, f"192.168.77.{i + 10}")).src == mac
        assert {seen.src for seen in net.frames} == {mac}, "frames of another address"
        assert vm.status()["boot"] == "resumed"
    for vm, run in zip(vms, runs):
        run.signal(signal.SIGKILL)
        assert run.wait(SOON) == -signal.SIGKILL
        assert vm.at_rest() == "killed"
        vm.delete()
    assert snapshot.status()["saved"] is True
    snapshot.start("--nat-nic")  # and it still is what it was


def is_ping_from(seen, address):
    found = packet.parse_ipv4(seen.data)
    return found and found[1].src == address and found[1].proto == packet.ICMP


def test_another_memory_size_in_the_copy_is_a_warning(tm, world, saved_vm):
    net = world.server("one")
    vm = copy(tm, saved_vm("base"), "test", "52:cc:cc:cc:cc:01", net.path, memory=1 << 30)
    run = host(tm, vm, "--disconnected-nic", "--attach-network", net.path)
    vm.until_ready(run)
    assert vm.status()["memory"] == 256 << 20
    assert "memory" in vm.status()["note"]
