"""vnet dies by kill -9 while guests run, and comes back: nobody needs to be restarted."""
from pathlib import Path

from lab.capture import Capture
from lab.wait import BOOT, SOON, eventually

LAB = """
capture: lab.pcapng
networks: { home: { lan: 192.168.1.1/24 } }
"""
MACS = {"a": "52:cc:cc:cc:cc:01", "b": "02:00:00:00:00:0b", "n": "02:00:00:00:00:0c"}


def leases(vnet):
    return {lease["mac"]: lease["address"] for lease in vnet.ask("leases")["leases"]}


def test_all_talk_again_after_a_kill(saved_vm, make_vnet, make_node):
    vnet = make_vnet(lab=LAB)
    vms = {name: saved_vm(name, mac=MACS[name]) for name in "ab"}
    for vm in vms.values():
        vm.start()
    node = make_node(vnet, MACS["n"])
    node.dhcp()
    for vm in vms.values():
        vm.wait("ip")
    before = leases(vnet)
    assert set(before) == set(MACS.values())
    boots = {name: vm.boot_id() for name, vm in vms.items()}

    file = Path(vnet.path + ".leases")
    eventually(lambda: file.exists() and all(mac in file.read_text() for mac in before),
               what="the leases in their file")
    vnet.kill()
    vnet.start()

    for mac in MACS.values():
        eventually(lambda mac=mac: mac in {m for link in vnet.ask("links")["links"]
                                           for m in link["macs"]} or say_something(node, vms),
                   what=f"{mac} plugged in again")
    assert leases(vnet) == before
    for other in before.values():
        node.ping(other)
    for name, vm in vms.items():
        vm.sh(f"ping -c 1 -W {BOOT} 192.168.1.1")
        vm.sh(f"ping -c 1 -W {BOOT} {before[MACS['n']]}")
        assert vm.boot_id() == boots[name]
    node.dhcp()
    assert leases(vnet) == before, "a client that asks again gets what it had"
    vnet.stop()
    capture = Capture(Path(vnet.world.dir) / "lab.pcapng")
    assert capture.sections() == 2
    capture.check()


def say_something(node, vms):
    """A MAC is known when its owner has spoken."""
    node.run("ping", "-c", "1", "-W", "1", "192.168.1.1", check=False)
    for vm in vms.values():
        vm.shell().run("ping -c 1 -W 1 192.168.1.1", SOON)
    return False
