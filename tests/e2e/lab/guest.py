"""What a guest carries over a save, if it is the same guest that goes on: marks left and found."""
from . import router
from .wait import BOOT


class Connection:
    """A TCP connection from the guest to the lab's echo server, held by the console's shell."""

    def __init__(self, vm):
        self.vm, self.count = vm, 0
        vm.sh("rm -f /tmp/to /tmp/from; mkfifo /tmp/to /tmp/from; exec 3<>/tmp/to 4<>/tmp/from")
        vm.sh(f"nc {router.IP} 7777 <&3 >&4 2>/dev/null &")
        self.number = self.ask("who")

    def ask(self, line):
        """The server's answer to one line, waited for in the guest."""
        return self.vm.sh(f"echo {line} >&3; read -t {BOOT} answer <&4; echo \"$answer\"")

    def check(self):
        self.count += 1
        assert self.ask(f"line-{self.count}") == f"line-{self.count}"
        assert self.ask("who") == self.number, "another connection answers"


class Marks:
    """Left in a running guest; check() proves that the same one runs now, with all it had."""

    def __init__(self, vm):
        self.vm = vm
        vm.wait("ip")
        self.boot_id = vm.boot_id()
        self.pid = vm.sh("sleep 1000000 & echo $!").splitlines()[-1]
        self.word = vm.sh("cat /proc/sys/kernel/random/uuid | tee /data/mark; sync")
        self.addresses = vm.addresses()
        self.uptime = self.read_uptime()
        self.connection = Connection(vm)

    def read_uptime(self):
        return float(self.vm.sh("cut -d' ' -f1 /proc/uptime"))

    def check(self, same_mac=True):
        """The connection and the address belong to a MAC; a copy with another one has lost them."""
        vm = self.vm
        assert vm.boot_id() == self.boot_id, "the guest booted anew"
        assert vm.sh("cat /data/mark") == self.word
        assert vm.shell().run(f"kill -0 {self.pid}")[0] == 0, "the background process is gone"
        uptime = self.read_uptime()
        assert uptime >= self.uptime
        self.uptime = uptime
        if same_mac:
            assert vm.addresses() == self.addresses
            self.connection.check()
