"""What a guest is given: by itself before it is ready, and by `tailmac guest` while it runs."""
import json
import re
import socket
import threading
import time

from lab.wait import BOOT, eventually

OWN = "52:cc:cc:cc:cc:17"


def guest(vm, *args):
    """{item: detail} of what was set."""
    return {i["item"]: i["detail"] for i in vm.tm.json("guest", "--id", vm.id, *args)["items"]}


def run(vm, *argv):
    return vm.tm.run("exec", "--id", vm.id, "--", *argv).stdout


def clock_error(vm):
    """How far the guest's clock is off, less what the asking takes."""
    before = time.time()
    told = dict(re.findall(r"time\.(tv_\w+): *(\d+)", run(vm, "adjtimex")))
    now = int(told["tv_sec"]) + int(told["tv_usec"]) / 1e6
    after = time.time()
    return max(before - now, now - after, 0)


def agent_says(vm, what):
    return [line for line in (vm.dir / "console.log").read_text(errors="replace").splitlines()
            if "tailmac-agent: set" in line and what in line]


def clock_steps(vm):
    """As the agent saw them: Host does not, where an answer comes late."""
    return [float(s) for s in re.findall(r"clock \+(\d+\.\d+) s", "\n".join(agent_says(vm, "clock")))]


def test_clock_and_random_numbers_are_right_when_a_resumed_guest_is_ready(vm):
    run(vm, "sh", "-c", "date -s @$(($(date +%s) - 3600))")
    vm.stop()
    vm.start()
    assert clock_error(vm) < 0.1
    log = vm.host_log.splitlines()
    done = max(i for i, line in enumerate(log) if "agent: set" in line and "entropy 64 bytes" in line)
    assert any("agent: ready" in line for line in log[done:])
    eventually(lambda: len(agent_says(vm, "entropy 64 bytes")) >= 2, what="the agent's log")
    eventually(lambda: any(3600 < s < 3700 for s in clock_steps(vm)), what="an hour's step in the agent's log")


def test_copies_of_a_guest_draw_different_random_numbers(tm, vm):
    vm.stop()
    clones = [tm.vm("b"), tm.vm("c")]
    for clone in clones:
        tm.run("clone", "--id", vm.id, "--target-id", clone.id)
        clone.start("--disconnected-nic")
    drawn = {run(clone, "sh", "-c", "head -c 16 /dev/urandom | od -An -tx1") for clone in clones}
    assert len(drawn) == 2


def test_the_clock_is_right_after_a_pause(vm):
    vm.tm.run("pause", "--id", vm.id)
    paused = time.time()
    eventually(lambda: time.time() > paused + 1, what="a second")
    vm.tm.run("resume", "--id", vm.id)
    eventually(lambda: clock_error(vm) < 0.1, what="the right time")


def test_everything_in_one_request(tm):
    vm = tm.vm("a").create()
    vm.start("--disconnected-nic")  # or its DHCP client would have a say
    items = guest(vm, "--mac", OWN, "--hostname", "Rose-1", "--machine-id", "new", "--address", "10.9.0.5/24",
                  "--address", "fd09::5/64", "--gateway", "10.9.0.1", "--route", "10.8.0.0/16,10.9.0.2",
                  "--dns", "10.9.0.1", "--dns", "fd09::1", "--dns-search", "lab.example", "--clock",
                  "--reseed", "--sync")
    assert set(items) == {"mac", "hostname", "machine-id", "address", "route", "dns", "search", "clock",
                          "entropy", "sync"}
    assert re.fullmatch("[0-9a-f]{32}", items["machine-id"])
    assert run(vm, "hostname") == "Rose-1\n" and vm.status()["agent"]["hostname"] == "Rose-1"
    assert run(vm, "cat", "/etc/machine-id") == items["machine-id"] + "\n"
    assert run(vm, "cat", "/etc/resolv.conf") == \
        "nameserver 10.9.0.1\nnameserver fd09::1\nsearch lab.example\n"
    addresses = run(vm, "ip", "addr", "show", "eth0")
    assert re.findall(r"inet (\S+)", addresses) == ["10.9.0.5/24"] and "fd09::5/64" in addresses
    routes = run(vm, "ip", "route")
    assert "default via 10.9.0.1" in routes and "10.8.0.0/16 via 10.9.0.2" in routes
    assert vm.nic()["mac"] == OWN and "wanted_mac" not in vm.nic()
    # As often as one likes, and each address in the place of the one before.
    guest(vm, "--address", "10.9.0.6/24", "--machine-id", "0123456789ABCDEF0123456789ABCDEF")
    assert re.findall(r"inet (\S+)", run(vm, "ip", "addr", "show", "eth0")) == ["10.9.0.6/24"]
    assert run(vm, "cat", "/etc/machine-id") == "0123456789abcdef0123456789abcdef\n"


def test_what_cannot_be_set_is_said_and_the_rest_is_done(vm):
    doc = vm.tm.run("guest", "--id", vm.id, "--gateway", "203.0.113.1", "--hostname", "x",
                    "--format", "json", check=False)
    assert doc.returncode == 1
    items = {i["item"]: (i["done"], i["detail"]) for i in json.loads(doc.stdout)["items"]}
    assert items["hostname"][0] and items["route"] == (False, "Network is unreachable")
    for words in (["--hostname", "-x"], ["--hostname", "a b"], ["--machine-id", "12"],
                  ["--address", "10.0.0.1"], ["--address", "10.0.0.1/33"], ["--route", "10.0.0.0/8,fd00::1"],
                  ["--gateway", "x"], ["--dns", "x"], ["--dns-search", "a b"], ["--mac", "01:00:00:00:00:00"],
                  []):
        vm.fail(2, "guest", *words)
    vm.fail(1, "guest", "--nic", "nat", "--address", "10.0.0.1/8")


def test_a_mac_by_order_lasts_for_the_run(server, vm):
    vm.wait("ip")
    guest(vm, "--mac", OWN)
    since = server.mark()
    boot_id = vm.boot_id()
    vm.tm.run("exec", "--id", vm.id, "--", "sh", "-c", "echo b >/proc/sysrq-trigger", check=False)
    eventually(lambda: "the guest reboots" in vm.host_log, BOOT, "a reboot")
    vm.wait("ready")
    vm.let_go()
    assert vm.boot_id() != boot_id
    vm.until_nics({OWN: True})
    server.wait_from(OWN, since=since)
    assert not [s for s in server.frames[since:] if s.src == "52:cc:cc:cc:cc:07"]
    vm.stop()
    vm.start()
    vm.until_nics({"52:cc:cc:cc:cc:07": True})


def test_a_reboot_during_an_order_for_something_else_keeps_the_mac(server, vm):
    guest(vm, "--mac", OWN)
    since = server.mark()
    vm.sh("kill -STOP $(pidof tailmac-agent)")
    with socket.socket(socket.AF_UNIX) as host, host.makefile() as answers:
        host.connect(vm.status()["control"])
        host.sendall(b'{"id":1,"verb":"guest","args":{"clock":true,"timeout":600000}}\n{"id":2,"verb":"status"}\n')
        assert [json.loads(answers.readline())["id"] for _ in range(2)] == [vm.id, 2]  # greeting, status
        vm.shell().type("echo b >/proc/sysrq-trigger\n")
        assert json.loads(answers.readline())["error"]["message"] == "the guest rebooted"
    vm.wait("ready")
    vm.let_go()
    vm.until_nics({OWN: True})
    server.wait_from(OWN, since=since)
    assert {seen.src for seen in server.frames[since:]} == {OWN}


def test_nobody_to_ask(vm):
    started = time.monotonic()
    hang = threading.Thread(target=run, args=(vm, "sh", "-c", "kill -STOP $(pidof tailmac-agent); sleep 4;"
                                              " kill -CONT $(pidof tailmac-agent)"))
    hang.start()
    eventually(lambda: vm.tm.run("guest", "--id", vm.id, "--clock", "--timeout", "0.3",
                                 check=False).returncode == 7, what="a timeout")
    assert time.monotonic() - started < BOOT
    hang.join()
    guest(vm, "--clock")
    vm.tm.run("pause", "--id", vm.id)
    vm.fail(5, "guest", "--clock")
    vm.halt()
    vm.fail(6, "guest", "--clock")
