"""The socket NIC's cable and the NAT NIC: seen from the server, from the guest, and in status."""
import contextlib
import os
import signal
import socket

import pytest

from lab import packet
from lab.guest import Connection, Marks
from lab.vnet import Control
from lab.wait import BOOT, SOON, eventually

MAC, OTHER, NAT_MAC = "52:cc:cc:cc:cc:07", "52:cc:cc:cc:cc:08", "52:cc:cc:cc:ce:07"
IP = "192.168.77.107"


def flows(server, mac=MAC, timeout=SOON):
    """Frames of the guest arrive at this server, and its answers reach the guest."""
    since = server.mark()
    seconds = server.ping(packet_address(mac), timeout)
    server.wait_from(mac, timeout, since)
    return seconds


def packet_address(mac):
    return f"192.168.77.{100 + packet.mac_bytes(mac)[5]}"


# Frames


def test_frames_carry_the_configured_mac_from_the_documented_path(booted, server):
    seen = server.wait_from(MAC)
    assert seen.peer == booted.nic_socket == f"/tmp/qemu-dgram-{booted.id}.sock"
    assert {frame.src for frame in server.frames} == {MAC}
    assert not [f for f in server.frames if f.ether.kind == packet.ETH_RARP], "QEMU's announcements"


def test_dhcp_gives_an_address_that_wait_and_status_know(booted, server):
    booted.wait("ip")
    assert booted.addresses()[MAC] == [IP]
    assert server.router.leases == {MAC: IP}
    server.ping(IP)
    assert "64 bytes from 192.168.77.1" in booted.sh("ping -c 1 -W 30 192.168.77.1")
    assert booted.sh("ip route").startswith("default via 192.168.77.1")


def test_a_connection_carries_data_both_ways(vm, server):
    vm.wait("ip")
    connection = Connection(vm)
    connection.check()
    server.say("from-the-server")
    assert vm.sh(f"read -t {BOOT} line <&4; echo $line") == "from-the-server"
    lines = "seq 1 50000"
    assert vm.sh(f"{lines} | nc 192.168.77.1 7777 | md5sum") == vm.sh(f"{lines} | md5sum")


def test_two_guests_have_their_own_sockets(saved_vm, server):
    guests = {mac: saved_vm(name, mac=mac)
              for name, mac in (("a", "52:cc:cc:cc:cc:01"), ("b", "52:cc:cc:cc:cc:02"))}
    for guest in guests.values():
        guest.start()
    for mac, guest in guests.items():
        guest.wait("ip")
        assert server.wait_from(mac).peer == guest.nic_socket
        flows(server, mac)
    assert len(set(server.router.leases.values())) == 2


# The cable


def test_attach_moves_frames_to_another_server(tm, vm, server):
    vm.wait("ip")
    other = tm.world.server("other")
    tm.run("attach", "--id", vm.id, "--network", other.path)
    vm.until_nic(server=other.path, connected=True)
    flows(other)
    quiet = server.mark()
    flows(other)
    assert server.mark() == quiet, "the old server still hears the guest"
    tm.run("attach", "--id", vm.id)  # back to the configured one
    flows(server)


def test_run_attaches_where_it_is_told(tm, server, saved_vm):
    vm, other = saved_vm("a"), tm.world.server("other")
    vm.start("--attach-network", other.path)
    vm.wait("ip")
    flows(other)
    assert server.mark() == 0


def test_detach_pulls_the_cable_and_attach_plugs_it_in(tm, vm, server):
    vm.wait("ip")
    tm.run("detach", "--id", vm.id)
    vm.until_nics({MAC: False})
    assert vm.nic()["connected"] is False
    quiet = server.mark()
    vm.shell().run("ping -c 2 -W 1 192.168.77.1")
    assert server.mark() == quiet
    tm.run("attach", "--id", vm.id)
    vm.until_nics({MAC: True})
    flows(server)


@pytest.mark.parametrize("unlink", [True, False], ids=["shut-down", "killed"])
def test_a_server_that_comes_back_is_found(vm, server, unlink):
    vm.wait("ip")
    server.close(unlink=unlink)
    vm.until_nic(connected=False)
    vm.until_nics({MAC: False})
    if not unlink:
        os.unlink(server.path)
    server.open()
    vm.until_nic(connected=True)
    vm.until_nics({MAC: True})
    flows(server)


def test_a_server_that_restarts_at_once_and_knows_nothing(vm, server, count):
    vm.wait("ip")
    for _ in range(count(3, 100)):
        server.restart()
        server.forget()
        vm.sh("until ping -q -c 1 -W 1 192.168.77.1 >/dev/null; do :; done")  # it must hear of the guest first
        flows(server)


def test_no_server_at_the_start(tm):
    vm = tm.vm("a").create()
    vm.start()
    assert vm.guest_nics() == {MAC: False}
    assert vm.nic()["connected"] is False
    vm.fail(7, "wait", "--for", "ip", "--timeout", "1")
    late = tm.world.server()
    vm.until_nic(connected=True)
    vm.wait("ip")
    flows(late)


def test_a_server_that_vanished_during_a_save(tm, vm, server):
    marks = Marks(vm)
    server.close()
    vm.stop()
    vm.start()
    vm.until_nics({MAC: False})
    server.open()
    flows(server)
    marks.check()


def test_the_servers_path_may_be_a_new_one_after_a_save(tm, vm, server):
    marks = Marks(vm)
    vm.stop()
    other = tm.world.server("other")
    vm.configure("--sock", other.path)
    vm.start()
    flows(other)
    assert vm.boot_id() == marks.boot_id


# In a vnet


ROUTER = "192.168.0.1"
LIKE_SERVER = "networks: { n: { lan: 192.168.77.1/24 } }"


def reaches(vm, address=ROUTER):
    vm.sh(f"until ping -q -c 1 -W 1 {address} >/dev/null; do :; done")


def test_in_a_vnet_it_has_a_plug_of_its_own(tm):
    net, vm = tm.network().up(), tm.vm("a").create()
    vm.start()
    vm.wait("ip")
    nic = vm.until_nic(connected=True, kind="vnet")
    link, = net.json("links")["links"]
    assert (link["plug"], link["kind"], link["name"], link["macs"]) == (nic["plug"], "stream", vm.id, [MAC])
    assert link["peer"] == nic["path"]
    lease, = net.json("leases")["leases"]
    assert lease["mac"] == MAC
    assert vm.addresses()[MAC] == [lease["address"]] == ["192.168.0.107"]
    reaches(vm)


@pytest.mark.parametrize("end", ["kill", "down"])
def test_a_vnet_that_ends_and_comes_back(tm, saved_vm, end, count):
    net, vm = tm.network().up(), saved_vm("a", mac=OTHER)
    vm.start()
    vm.wait("ip")
    boot_id = vm.boot_id()
    for _ in range(count(2, 50)):
        before = vm.nic()["reconnects"]
        getattr(net, end)()
        vm.until_nic(connected=False)
        vm.until_nics({OTHER: False})
        net.up()
        vm.until_nic(connected=True, kind="vnet", timeout=5)
        assert vm.nic()["reconnects"] == before + 1
        reaches(vm)
    assert vm.boot_id() == boot_id


def test_a_guest_that_never_stops_talking_is_moved(tm, vm, server, count):
    """Its frames come while there is no backend, or two of them: none of them may get stuck."""
    net = tm.network("lab").up(lab=LIKE_SERVER)
    vm.sh("while :; do ping -q -c 1000 -i 0.001 -W 1 192.168.77.1 >/dev/null 2>&1; done &")
    for _ in range(count(10, 300)):
        assert tm.json("attach", "--id", vm.id, "--network", net.path)["kind"] == "vnet"
        reaches(vm, "192.168.77.1")
        tm.run("attach", "--id", vm.id)
        flows(server)


def test_a_vnet_that_hangs_before_it_dies(tm, vm):
    net = tm.network("lab").up(lab=LIKE_SERVER)
    tm.run("attach", "--id", vm.id, "--network", net.path)
    reaches(vm, "192.168.77.1")
    pid = net.pid()
    os.kill(pid, signal.SIGSTOP)
    flood(vm)
    vm.shell().run("ping -c 10 -i 0.2 -W 1 192.168.77.1")  # until queues are full for certain
    net.kill(pid)
    vm.until_nic(connected=False)
    net.up(lab=LIKE_SERVER)
    vm.until_nic(connected=True, kind="vnet")
    reaches(vm, "192.168.77.1")


def test_a_vnet_after_a_save(tm, saved_vm):
    net, vm = tm.network().up(), saved_vm("a", mac=OTHER)
    vm.start()
    vm.wait("ip")
    vm.stop()
    assert net.json("links")["links"] == []
    vm.start()
    reaches(vm)
    assert [link["kind"] for link in net.json("links")["links"]] == ["stream"]


def test_a_guest_that_boots_keeps_its_plug(tm):
    """What routers advertise waits unread until its driver is there: that is no deafness."""
    net = tm.network().up(lab='networks: { n: { lan: 192.168.0.1/24, lan6: "2000:52::1/64", ra: { interval: 4s } } }')
    vm = tm.vm("a").create()
    vm.start()
    vm.wait("ip")
    reaches(vm)
    assert vm.nic()["reconnects"] == 0
    assert [link["plug"] for link in net.json("links")["links"]] == [vm.nic()["plug"]]


def test_a_resumed_clone_is_plugged_in_under_its_own_mac(tm, saved_vm):
    """The lab knows the two MACs and no other: a frame under the wrong one would be told."""
    net = tm.network().up(lab="networks: { n: { lan: 192.168.77.1/24 } }\nunknown-macs: refuse\n"
                              f'nodes: {{ a: {{ mac: "{MAC}" }}, b: {{ mac: "{OTHER}" }} }}')
    vm, other = saved_vm("a"), tm.vm("b")
    tm.run("clone", "--id", vm.id, "--target-id", other.id)
    other.configure("--mac", OTHER)
    for guest in (vm, other):
        guest.start()
        reaches(guest, "192.168.77.1")
    macs = {link["name"]: link["macs"] for link in net.json("links")["links"]}
    assert macs == {"a": [MAC], "b": [OTHER]}
    assert net.json("counters")["daemon"]["refused"] == {}


def test_a_nic_that_the_guest_lets_go_of_too_late_comes_back(tm, server):
    """It has no agent that answers and no driver that unplugs; QEMU unplugs at its reboot."""
    vm = tm.vm("a").create()
    vm.configure("--cmdline", vm.config["cmdline"] + " acpiphp.disable=1", "--vsock", "false")
    vm.start()
    vm.sh("kill -STOP $(pidof tailmac-agent)")
    vm.stop()
    vm.configure("--mac", OTHER)
    since = server.mark()
    vm.start(wait="running")
    eventually(lambda: "keeps a wrong MAC" in (vm.status().get("note") or ""), BOOT, "a NIC that stays")
    vm.shell().type("echo b >/proc/sysrq-trigger\n")
    vm.wait("ready")
    vm.let_go()
    vm.until_nics({OTHER: True})
    server.wait_from(OTHER, BOOT, since)
    assert MAC not in {seen.src for seen in server.frames[since:]}
    assert "by now every NIC has its MAC" in vm.status()["note"]
    vm.stop()
    vm.start()
    vm.until_nics({OTHER: True})


def test_from_a_plain_server_into_a_vnet_and_back(tm, vm, server):
    vm.wait("ip")
    net = tm.network("lab").up(lab=LIKE_SERVER)
    nic = tm.json("attach", "--id", vm.id, "--network", net.path)
    assert (nic["connected"], nic["kind"]) == (True, "vnet")
    reaches(vm, "192.168.77.1")
    nic = tm.json("attach", "--id", vm.id)
    assert (nic["connected"], nic["kind"]) == (True, "plain")
    eventually(lambda: not net.json("links")["links"], what="no plug left")
    flows(server)


def test_a_vnet_that_refuses_says_why(tm, saved_vm):
    def lab(mac):
        return f'unknown-macs: refuse\nnetworks: {{ n: {{ lan: 192.168.77.1/24 }} }}\nnodes: {{ a: {{ mac: "{mac}" }} }}'
    net, vm = tm.network().up(lab=lab("52:cc:cc:cc:cc:01")), saved_vm("a")
    vm.start()
    nic = vm.until_nic(connected=False)
    assert "no node with this MAC" in nic["note"]
    assert vm.guest_nics() == {MAC: False}
    net.down()
    net.up(lab=lab(MAC))
    vm.until_nic(connected=True, kind="vnet")
    assert "note" not in vm.nic()
    reaches(vm, "192.168.77.1")


def test_a_plug_that_is_pulled_is_out_until_the_next_attach(tm, saved_vm):
    net, vm = tm.network().up(lab=LIKE_SERVER), saved_vm("a")
    vm.start()
    plug = vm.until_nic(connected=True, kind="vnet")["plug"]
    with contextlib.closing(Control(net.path + ".ctl")) as control:
        control.call("unplug", plug=plug)
    nic = vm.until_nic(connected=False)
    assert nic["note"] == "unplugged" and "plug" not in nic
    vm.until_nics({MAC: False})
    tm.run("attach", "--id", vm.id, "--network", net.path)
    vm.until_nic(connected=True, kind="vnet")
    reaches(vm, "192.168.77.1")


# Servers that misbehave


def flood(vm):
    """More frames than any queue holds."""
    vm.sh("ping -q -c 600 -i 0.001 -s 1400 192.168.77.1 >/dev/null 2>&1 &")


def wedge(vm, server):
    """A server that reads no more, until all queues are full for certain."""
    flows(server)
    server.blackhole(True)
    flood(vm)
    vm.shell().run("ping -c 10 -i 0.2 -W 1 192.168.77.1")


@pytest.mark.parametrize("connect_back", [False, True], ids=["unconnected", "connected-back"])
def test_a_wedged_server_is_left_for_another(tm, saved_vm, connect_back):
    server = tm.world.server(connect_back=connect_back)
    vm = saved_vm("a")
    vm.start()
    wedge(vm, server)
    other = tm.world.server("other")
    tm.run("attach", "--id", vm.id, "--network", other.path)
    flows(other)
    assert vm.state == "running"


def test_a_wedged_server_that_vanishes_is_left_for_a_vnet(tm, saved_vm):
    server = tm.world.server(connect_back=True)
    vm = saved_vm("a")
    vm.start()
    wedge(vm, server)
    os.unlink(server.path)
    vm.until_nic(connected=False)
    net = tm.network("lab").up(lab=LIKE_SERVER)
    tm.run("attach", "--id", vm.id, "--network", net.path)
    reaches(vm, "192.168.77.1")


@pytest.mark.parametrize("connect_back", [False, True], ids=["unconnected", "connected-back"])
def test_a_wedged_server_that_recovers(tm, saved_vm, connect_back):
    server = tm.world.server(connect_back=connect_back)
    vm = saved_vm("a")
    vm.start()
    wedge(vm, server)
    server.blackhole(False)
    flows(server)


@pytest.mark.parametrize("connect_back", [False, True], ids=["unconnected", "connected-back"])
def test_a_wedged_server_does_not_keep_a_vm_from_stopping(tm, saved_vm, connect_back):
    server = tm.world.server(connect_back=connect_back)
    vm = saved_vm("a")
    vm.start()
    wedge(vm, server)
    vm.stop()
    server.blackhole(False)
    vm.start()
    assert vm.status()["boot"] == "resumed"
    flows(server)


def test_a_zero_length_datagram_deafens_the_nic_for_a_moment_only(vm, server):
    vm.wait("ip")
    flows(server)
    assert server.send(vm.nic_socket, b"")
    flows(server, timeout=60)


@pytest.mark.parametrize("junk", [b"\0", b"x" * 13, bytes(60), b"\xff" * 9000, b"x" * 65000],
                         ids=lambda junk: str(len(junk)))
def test_junk_from_the_server_harms_nobody(vm, server, junk):
    vm.wait("ip")
    for _ in range(20):
        server.send(vm.nic_socket, junk)
    flows(server)
    assert vm.state == "running"


def test_frames_from_a_stranger_do_not_reach_the_guest(vm, server, tm):
    vm.wait("ip")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        with pytest.raises(PermissionError):
            stranger.sendto(bytes(60), vm.nic_socket)


# Paths


def test_a_socket_left_by_a_dead_vm_is_no_obstacle(saved_vm, server):
    vm = saved_vm("a")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(vm.nic_socket)
    vm.start()
    assert vm.nic()["path"] == vm.nic_socket
    vm.wait("ip")
    flows(server)


def test_a_name_that_a_live_socket_holds_is_left_alone(saved_vm, server):
    vm = saved_vm("a")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(vm.nic_socket)
        vm.start()
        path = vm.nic()["path"]
        assert path != vm.nic_socket
        flows(server)
        assert server.wait_from(MAC).peer == path
        assert os.path.exists(vm.nic_socket)
        vm.halt()
        assert not os.path.exists(path)
        os.unlink(vm.nic_socket)


def test_the_socket_goes_with_the_vm_even_when_host_is_killed(vm):
    os.kill(vm.status()["pid"], signal.SIGKILL)
    assert vm.at_rest() == "killed"
    vm.start()
    assert vm.nic()["path"] == vm.nic_socket
    vm.halt()
    assert not os.path.exists(vm.nic_socket)


# NIC layouts


def create_with_both(tm):
    return tm.vm("a").create("--ethermac", NAT_MAC)


def test_headless_alone_is_the_socket_nic(tm, server):
    vm = create_with_both(tm)
    vm.start()
    vm.until_nics({MAC: True})
    assert "ssh_port" not in vm.status()


def test_headless_with_nat_nic_is_the_nat_nic(tm, server):
    vm = create_with_both(tm)
    vm.start("--nat-nic")
    vm.until_nics({NAT_MAC: True})
    vm.wait("ip")
    assert server.mark() == 0
    assert not os.path.exists(vm.nic_socket)
    vm.fail(1, "attach")


def test_headless_with_a_disconnected_nic_waits_for_attach(tm, server):
    vm = create_with_both(tm)
    vm.start("--disconnected-nic")
    assert vm.guest_nics() == {MAC: False}
    assert server.mark() == 0
    tm.run("attach", "--id", vm.id)
    vm.wait("ip")
    flows(server)


def test_a_disconnected_nic_with_a_network_is_connected(tm, server):
    vm = create_with_both(tm)
    vm.start("--disconnected-nic", "--attach-network", server.path)
    vm.wait("ip")
    flows(server)


@pytest.mark.parametrize("headless, options, up", [
    (False, [], True),
    (False, ["--disconnected-nic"], False),
    (True, ["--nat-nic", "--disconnected-nic"], False),
], ids=["not-headless", "not-headless-disconnected", "headless-both"])
def test_both_nics(tm, server, headless, options, up):
    vm = create_with_both(tm)
    vm.start(*options, headless=headless)
    vm.until_nics({NAT_MAC: True, MAC: up})
    roles = {nic["role"]: nic["mac"] for nic in vm.status()["nics"]}
    assert roles == {"nat": NAT_MAC, "socket": MAC}
    vm.stop()
    vm.start(*options, headless=headless)
    vm.until_nics({NAT_MAC: True, MAC: up})


def test_the_nat_nic_forwards_a_loopback_port_to_ssh(tm, server):
    vm = create_with_both(tm)
    vm.start("--nat-nic")
    vm.wait("ip")
    for round in ("cold", "resumed"):
        port = vm.status()["ssh_port"]
        vm.sh("echo hello-from-guest | nc -l -p 22 >/dev/null 2>&1 &")
        vm.sh("until netstat -ltn | grep -q ':22 '; do :; done")
        with socket.create_connection(("127.0.0.1", port), timeout=BOOT) as client:
            assert client.recv(100) == b"hello-from-guest\n", round
        vm.stop()
        vm.start("--nat-nic")


def test_a_saved_guest_keeps_its_number_of_nics(saved_vm, server):
    vm = saved_vm("a", ethermac=NAT_MAC)
    assert "NIC" in vm.fail(1, "run", "--headless", "--nat-nic", "--disconnected-nic")
    assert vm.status()["saved"] is True
    vm.start()
