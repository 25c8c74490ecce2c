"""vsock: streams between programs of the host and of the guest, before and after a save."""
import contextlib
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.vsock import GUEST, MIB, Outside, exchange, give, install
from lab.wait import BOOT, SOON, eventually
from test_nic import LIKE_SERVER, reaches

ECHO, OUT = 700, 800  # ports in the guest and outside
ADDRESS, PORT = 51011, 51009


@pytest.fixture
def arch(request):
    return request.config.getoption("--arch")


@pytest.fixture
def make_vm(tm, server, arch):
    """make_vm(option…) → a VM that boots, with the guest's program."""
    def make(*args):
        vm = tm.vm("a").create(*args)
        install(vm, arch)
        return vm
    return make


@pytest.fixture
def booted(make_vm):
    guest = make_vm()
    guest.start()
    return guest


@pytest.fixture
def vm(vm, arch):
    """With the guest's program."""
    give(vm, arch)
    return vm


def serve_echo(vm, port=ECHO):
    """The guest's echo server; it lives on over a save."""
    vm.sh(f"{GUEST} echo {port} >/tmp/echo{port} 2>&1 & "
          f"until grep -q listening /tmp/echo{port}; do sleep 0.1; done")


def ask_address(vm):
    """After a resume the device comes a moment after `ready`."""
    return vm.sh(f"until {GUEST} read {ADDRESS} 2>/dev/null; do sleep 0.1; done")


def host_rss(vm):
    """KiB of memory that is Host's own."""
    text = Path(f"/proc/{vm.status()['pid']}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1])


# What Host itself says and hears


def test_the_guest_is_told_its_address_or_to_wait(booted):
    assert ask_address(booted) == "wait"
    booted.stop()
    booted.start("--assign-ip", "10.1.2.3/255.255.0.0/10.1.0.1")
    assert json.loads(ask_address(booted)) == {"ip": "10.1.2.3", "mask": "255.255.0.0", "gw": "10.1.0.1"}


@pytest.mark.parametrize("bad", ["10.0.0.1", "10.0.0.1/24/10.0.0.2", "10.0.0.1/255.0.255.0/10.0.0.2",
                                 "10.0.0.1/255.0.0.0/10.0.0.2/", "10.0.0.300/255.0.0.0/10.0.0.2"])
def test_an_address_that_is_none_is_refused(tm, bad):
    vm = tm.vm("a").create()
    assert "--assign-ip" in vm.fail(2, "run", "--assign-ip", bad)


def test_host_connects_to_the_guests_port_and_stays(make_vm):
    vm = make_vm("--port", "4711")
    vm.start()
    vm.sh(f"mkfifo /tmp/f; {GUEST} accept 4711 >/tmp/accepted 2>&1 &")

    def connected(value):
        return eventually(lambda: vm.status()["vsock"]["connected"] is value, SOON, f"connected {value}")
    for _ in range(2):
        connected(True)
        eventually(lambda: vm.sh("cat /tmp/accepted").split("\n") == ["listening", "connected from 2"])
        assert vm.status()["vsock"]["connections"] == 1
        vm.stop()
        vm.start()  # the save has ended the connection
        eventually(lambda: "ended" in vm.sh("cat /tmp/accepted") or
                   "reset" in vm.sh("cat /tmp/accepted"), SOON, "the connection's end in the guest")
        vm.sh(f"{GUEST} accept 4711 >/tmp/accepted 2>&1 &")
    connected(True)


# Streams


def check_streams(vm, size, parallel):
    outside = Outside(vm)
    assert exchange(outside.dial(ECHO), size)
    with outside.echo(OUT):
        assert vm.sh(f"{GUEST} send {OUT} {size}") == str(size)
        assert vm.sh(f"{GUEST} many {OUT} {parallel}") == str(parallel)
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(outside.dial(ECHO)) for _ in range(parallel)]
        for i, sock in enumerate(socks):
            sock.sendall(b"%08d" % i)
        for i, sock in enumerate(socks):
            assert sock.recv(8, socket.MSG_WAITALL) == b"%08d" % i
    eventually(lambda: vm.status()["vsock"]["connections"] <= 1, SOON, "the end of all connections")


def test_streams_both_ways_before_and_after_a_save(booted, count):
    size, parallel = count(128 * MIB, 1024 * MIB), 500
    serve_echo(booted)
    check_streams(booted, size, parallel)
    before = host_rss(booted)
    check_streams(booted, size, parallel)
    assert host_rss(booted) < before + size // 2048
    for _ in range(count(2, 10)):
        booted.stop()
        booted.start()
        ask_address(booted)
        check_streams(booted, 64 * MIB, parallel)


def test_nobody_listens(vm):
    outside = Outside(vm)
    assert outside.dial(ECHO) is None
    code, said = vm.shell().run(f"{GUEST} read {OUT}")
    assert code == 1 and "reset" in said


@pytest.mark.parametrize("line", [b"HELLO\n", b"CONNECT\n", b"CONNECT 0\n", b"CONNECT -1\n",
                                  b"CONNECT 4294967296\n", b"CONNECT " + 100 * b"1", b"\n", b"\0\n"])
def test_what_is_no_request_is_hung_up_on(vm, line):
    with Outside(vm).say(line) as sock:
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""


def test_who_never_reads_holds_up_nobody_else(vm):
    outside, stuck = Outside(vm), threading.Event()

    def hold(sock):
        with sock:
            stuck.wait(BOOT)
    serve_echo(vm)
    before = host_rss(vm)
    with outside.listen(OUT + 1, hold):
        try:
            vm.sh(f"{GUEST} send {OUT + 1} {64 * MIB} >/tmp/stuck 2>&1 & "
                  f"{GUEST} send {OUT + 1} {64 * MIB} >/tmp/stuck 2>&1 &")
            deaf = outside.dial(ECHO)  # nor does this one read
            deaf.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    deaf.send(bytes(MIB))
            assert exchange(outside.dial(ECHO), 8 * MIB)
            assert host_rss(vm) < before + 16384
        finally:
            stuck.set()
    deaf.close()


def test_connections_end_with_a_save_and_a_reboot(vm):
    serve_echo(vm)
    outside = Outside(vm)

    def reboot():
        vm.shell().greet()
        vm.shell().type("reboot\n")
    for end in (vm.stop, reboot):
        with outside.dial(ECHO) as sock:
            sock.sendall(b"hello")
            assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
            end()
            with contextlib.suppress(ConnectionError):
                assert sock.recv(1) == b""
        if end == vm.stop:
            assert not Path(outside.path).exists()
            vm.start()
            ask_address(vm)
    eventually(lambda: "the guest reboots" in vm.host_log, BOOT, "a reboot")
    vm.wait("ready")
    serve_echo(vm)
    assert exchange(outside.dial(ECHO), MIB)


# What a save needs


KEEPS_ITS_DEVICE = ("--cmdline", "console=ttyS0 console=ttyAMA0 quiet acpiphp.disable=1 "
                    "pciehp.poll=0 pcie_ports=compat")


def test_a_guest_that_keeps_its_device_is_not_saved_and_goes_on(make_vm):
    vm = make_vm(*KEEPS_ITS_DEVICE)
    vm.start()
    serve_echo(vm)
    boot_id = vm.boot_id()
    with Outside(vm).dial(ECHO) as sock:
        message = vm.fail(1, "stop")
        assert "vsock" in message and "nothing is lost" in message
        assert vm.state == "running" and not vm.saved_files
        sock.sendall(b"still")
        assert sock.recv(5, socket.MSG_WAITALL) == b"still"
    assert vm.boot_id() == boot_id
    vm.halt()


@contextlib.contextmanager
def save_that_gives_up(vm):
    """What is done meanwhile; it waits for the device for some seconds."""
    with ThreadPoolExecutor(1) as pool:
        stop = pool.submit(vm.fail, 1, "stop")
        vm.until("state", "saving")
        yield
        assert "nothing is lost" in stop.result()


def test_a_network_that_comes_back_while_a_save_gives_up(tm, make_vm):
    net, vm = tm.network("lab").up(lab=LIKE_SERVER), make_vm(*KEEPS_ITS_DEVICE)
    vm.start()
    tm.run("attach", "--id", vm.id, "--network", net.path)
    reaches(vm, "192.168.77.1")
    with save_that_gives_up(vm):
        net.kill()
        net.up(lab=LIKE_SERVER)
        vm.until_nic(connected=True, kind="vnet")
    assert vm.state == "running"
    reaches(vm, "192.168.77.1")


def test_a_disk_full_while_a_save_gives_up_is_told(confined, server):
    tm = confined("400m")
    vm = tm.vm("a").create(*KEEPS_ITS_DEVICE)
    vm.start()
    ballast = tm.place.fill(leave=1 << 20)
    with save_that_gives_up(vm):
        vm.shell().type("dd if=/dev/urandom of=/data/big bs=1M count=16 && sync && echo all-written\n")
    assert vm.until("state", "io-error")["reason"]
    tm.place.run("rm", ballast)
    tm.run("resume", "--id", vm.id)
    vm.shell().expect(r"\nall-written|\rall-written")
    assert vm.state == "running"


def test_a_paused_guest_is_saved(tm, vm):
    serve_echo(vm)
    boot_id = vm.boot_id()
    tm.run("pause", "--id", vm.id)
    vm.stop()
    vm.start()
    assert vm.boot_id() == boot_id
    ask_address(vm)
    assert exchange(Outside(vm).dial(ECHO), MIB)


def test_streams_outlast_a_pause(tm, vm):
    serve_echo(vm)
    with Outside(vm).dial(ECHO) as sock:
        for i in range(3):
            tm.run("pause", "--id", vm.id)
            sock.sendall(b"%08d" % i)
            tm.run("resume", "--id", vm.id)
            assert sock.recv(8, socket.MSG_WAITALL) == b"%08d" % i


def test_a_vm_without_vsock(make_vm):
    vm = make_vm("--vsock", "false")
    vm.start()
    assert "vsock" not in vm.status() and "vsock" not in vm.status()["engine"]
    assert vm.shell().run(f"{GUEST} read {ADDRESS}")[0] == 1
    vm.stop()
    assert "vsock" in vm.fail(5, "configure", "--vsock", "true")
    vm.start()


def test_a_state_of_another_machine_is_refused_by_name(vm):
    vm.stop()
    vm.write_config(vm.config | {"vsock": False})
    assert "vsock" in vm.fail(1, "run")
    config = vm.config
    del config["vsock"]
    vm.write_config(config)
    vm.start()
