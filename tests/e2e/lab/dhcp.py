"""DHCP clients that people use, each in a node: how it is started, and what it tells its script."""
import signal
from pathlib import Path

from .vnet import NIC
from .wait import SOON

SCRIPT = Path(__file__).with_name("dhcp-script")


class DhcpClient:
    """One client of a node, with files of its own, which outlive it."""

    CONF = ""

    def __init__(self, node):
        self.node, self.proc = node, None
        self.files = Path(node.world.dir) / f"{type(self).__name__}-{node.mac[-2:]}"
        self.files.mkdir()
        (self.files / "conf").write_text(self.CONF)

    def file(self, name):
        return self.files / name

    def start(self, *options):
        self.proc = self.node.world.keep(self.node.spawn(*self.argv(*options)))
        self.node.world.keep(self)
        return self

    def close(self):
        """As a shutdown ends it; dhcpcd leaves its helpers behind when it is killed."""
        if self.proc.child.returncode is None:
            self.proc.signal(signal.SIGTERM)
            self.proc.wait()

    def told(self, *reasons):
        """The variables of the script's next call for one of these reasons."""
        found = self.proc.expect(rf"(?ms)^told (?:{'|'.join(reasons)})\n(.*?)^told end$")
        return dict(line.split("=", 1) for line in found[1].splitlines() if "=" in line)

    def says(self, text):
        """Waits until it has written this."""
        proc = self.proc
        proc.until(lambda: text in proc.err or text in proc.out, repr(text), SOON)


class Udhcpc(DhcpClient):
    BOUND, RENEWED, RELEASED = "bound", "renew", "deconfig"
    WORDS = {"address": "ip", "prefix": "mask", "router": "router", "dns": "dns", "domain": "domain",
             "mtu": "mtu", "server": "serverid", "lease": "lease"}

    def argv(self, *options):
        return ["busybox", "udhcpc", "-i", NIC, "-f", "-n", "-t", "20", "-T", "1", *options, "-O", "mtu",
                "-s", SCRIPT]

    def renew(self):
        self.proc.signal(signal.SIGUSR1)

    def release(self):
        self.proc.signal(signal.SIGUSR2)


class Dhclient(DhcpClient):
    BOUND, RENEWED, RELEASED = "BOUND", "RENEW", "RELEASE"
    REMEMBERS = "bound to"  # its file is written after the script has ended
    CONF = "initial-interval 1;\nreboot 2;\nalso request interface-mtu;\n"
    WORDS = {"address": "new_ip_address", "mask": "new_subnet_mask", "router": "new_routers",
             "dns": "new_domain_name_servers", "domain": "new_domain_name", "mtu": "new_interface_mtu",
             "server": "new_dhcp_server_identifier", "lease": "new_dhcp_lease_time"}
    LEASE = """lease {{
  interface "{nic}";
  fixed-address {address};
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 3600;
  option dhcp-message-type 5;
  option dhcp-server-identifier {server};
  renew 5 2037/01/02 00:00:00;
  rebind 5 2037/01/02 00:00:00;
  expire 5 2037/01/02 00:00:00;
}}
"""

    def argv(self, *options):
        return ["dhclient", "-4", "-1", "-d", "-v", *options, "-cf", self.file("conf"), "-lf",
                self.file("leases"), "-pf", self.file("pid"), "-sf", SCRIPT, NIC]

    def remember(self, address, server):
        """As if it had that lease from an earlier life."""
        self.file("leases").write_text(self.LEASE.format(nic=NIC, address=address, server=server))

    def release(self):
        """By a second process, which ends the first."""
        self.start("-r")


class Dhcpcd(DhcpClient):
    BOUND, RENEWED, RELEASED = "BOUND", "RENEW", "STOP"
    REMEMBERS = "leased"
    CONF = ("nohook resolv.conf, hostname, ntp\nnoipv4ll\nnoarp\nnodelay\n"
            "option domain_name_servers, domain_name, interface_mtu\n")
    WORDS = {"address": "new_ip_address", "mask": "new_subnet_mask", "router": "new_routers",
             "dns": "new_domain_name_servers", "domain": "new_domain_name", "mtu": "new_interface_mtu",
             "server": "new_dhcp_server_identifier", "lease": "new_dhcp_lease_time"}

    def argv(self, *options):
        return ["dhcpcd", "-4", *options, "-B", "-d", "-f", self.file("conf"), "-c", SCRIPT, NIC]

    def order(self, option):
        """Another dhcpcd tells the running one."""
        return self.node.run("dhcpcd", "-4", "-f", self.file("conf"), option, NIC)

    def renew(self):
        self.order("-N")

    def rebind(self):
        self.order("-n")

    def release(self):
        self.order("-k")
