"""A VM that has booted once and was saved. Tests whose matter is not how a guest comes up go on from
copies of it, in a tenth of the time."""
import subprocess

from .tailmac import Tailmac


class Saved:
    """It has the socket NIC alone, an address of lab/router.py's and a file /data/base."""

    def __init__(self, world, binaries):
        world.server()
        vm = Tailmac(world, binaries).vm("a").create()
        vm.start()
        vm.wait("ip")
        vm.sh("echo of-the-base >/data/base && sync")
        vm.stop()
        for log in vm.dir.glob("*.log"):  # else its words would be found in those of a copy
            log.unlink()
        self.dir = vm.dir

    def copy(self, tm, name, **config):
        """A VM of that test; start() resumes it, or fails. Under another MAC the guest asks for an
        address anew, else it keeps the one that it has."""
        vm = tm.vm(name)
        subprocess.run(["cp", "-r", "--sparse=always", self.dir, vm.dir], check=True)
        vm.write_config(vm.config | {"vmID": vm.id, "serverSocket": tm.world.sock("net")} | config)
        return vm
