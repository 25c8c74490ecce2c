"""What the guest's agent tells of it: addresses as `tailmac ip` prints them, load and memory."""
import time

from lab.wait import BOOT, SOON, eventually


def test_the_address_is_the_guests(tm, vm):
    address = tm.run("ip", vm.id, "--wait", "60").stdout.strip()
    assert address in tm.run("exec", vm.id, "--", "ip", "-4", "addr", "show", "eth0").stdout
    assert tm.run("ip", vm.id, "--nic", "mac").stdout.strip() == address
    found = tm.json("ip", vm.id)
    assert [(a["address"], a["mac"], a["role"], a["nic"]) for a in found] == [
        (address, "52:cc:cc:cc:cc:07", "socket", "eth0")]


def test_another_family_and_a_nic_that_has_none(tm, vm):
    tm.run("exec", vm.id, "--", "ip", "addr", "add", "2001:db8::7/64", "dev", "eth0")
    assert tm.run("ip", vm.id, "--v6", "--wait", "60").stdout == "2001:db8::7\n"
    assert vm.fail(1, "ip", "--nic", "nat") == f"tailmac: VM '{vm.id}' has no NAT NIC"


def test_nobody_waits_for_a_nic_that_is_not_there(vm):
    begin = time.monotonic()
    assert vm.fail(1, "ip", "--nic", "nat", "--wait", "600") == f"tailmac: VM '{vm.id}' has no NAT NIC"
    assert time.monotonic() - begin < SOON
    vm.halt()
    vm.start("--nat-nic", "--headless", headless=False)
    assert vm.fail(1, "ip", "--nic", "mac", "--wait", "600") == f"tailmac: VM '{vm.id}' has no socket NIC"


def test_two_nics_are_told_apart(tm, server):
    vm = tm.vm("a").create("--ethermac", "52:cc:cc:cc:ce:07")
    vm.start("--nat-nic", "--headless", headless=False)
    address = tm.run("ip", vm.id, "--nic", "nat", "--wait", "60").stdout.strip()
    assert address.startswith("10.0.2.")
    assert tm.run("ip", vm.id).stdout.strip() == address


def test_waiting_has_an_end(tm, world):
    vm = tm.vm("a").create(sock=world.sock("nobody"))
    vm.start()
    assert "no IPv4 address" in vm.fail(1, "ip")
    begin = time.monotonic()
    assert "given an IPv4 address in time" in vm.fail(7, "ip", "--wait", "1")
    assert time.monotonic() - begin < SOON
    vm.halt()
    vm.fail(6, "ip")
    vm.fail(6, "ip", "--wait", "1")
    tm.fail(3, "ip", "none")


def look(vm, since=0):
    """What the agent told when asked; `status` does not wait for long, and tells what is known else."""
    def ask():
        agent = vm.status()["agent"]
        return "memory_available" in agent and float(agent["uptime"]) > since and agent
    return eventually(ask, BOOT, "the agent's answer")


def test_status_tells_load_and_memory_as_they_are(tm, vm):
    agent = look(vm)
    assert 200 << 20 < agent["memory_total"] <= 256 << 20
    assert 0 <= agent["load"] < 100
    tm.run("exec", vm.id, "--", "dd", "if=/dev/zero", "of=/dev/shm/full", "bs=1M", "count=64")
    later = look(vm, float(agent["uptime"]))
    assert later["memory_available"] <= agent["memory_available"] - (60 << 20)


def test_status_does_not_wait_for_an_agent_that_hangs(vm):
    vm.sh("killall -STOP tailmac-agent")
    begin = time.monotonic()
    assert vm.status()["state"] == "running"
    assert time.monotonic() - begin < 10  # CALL_MS: as long as the command would wait for Host
