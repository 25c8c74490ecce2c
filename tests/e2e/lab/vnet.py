"""bin/vnet as the network of a test, and nodes of it: network namespaces with a TAP for a NIC."""
import contextlib
import json
import os
import signal
import socket
from pathlib import Path

from .netns import Namespace
from .proc import Proc, resident
from .wait import SOON, eventually

NIC = "c0"  # of a node


class Refused(AssertionError):
    """The control socket answered with an error."""

    def __init__(self, verb, error):
        self.code = error["code"]
        super().__init__(f"{verb}: {error['code']}: {error['message']}")


class Control:
    """A connection to vnet's control socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SOON)
        self.sock.connect(path)
        self.lines = self.sock.makefile("r", encoding="utf-8")
        self.hello = self.line()
        self.calls, self.events = 0, []

    def line(self):
        text = self.lines.readline()
        if not text:
            raise ConnectionError("vnet closed the control connection")
        return json.loads(text)

    def send(self, verb, args, fds=()):
        self.calls += 1
        line = json.dumps({"id": self.calls, "verb": verb, "args": args}) + "\n"
        socket.send_fds(self.sock, [line.encode()], list(fds))

    def call(self, verb, fds=(), **args):
        """What it answers; events that come first are kept."""
        self.send(verb, args, fds)
        while True:
            line = self.line()
            if "event" in line:
                self.events.append(line)
            elif "error" in line:
                raise Refused(verb, line["error"])
            else:
                return line["ok"]

    def event(self, kind, **wanted):
        """The next event of this kind with these values, waited for; others are passed over."""
        while True:
            line = self.events.pop(0) if self.events else self.line()
            if line.get("event") == kind and all(line.get(k) == v for k, v in wanted.items()):
                return line

    def close(self):
        self.lines.close()
        self.sock.close()


class Vnet:
    """A vnet in the foreground, listening at world.sock(name); `lab` is a lab file's text, `prefix`
    a command that runs it, as Namespace.argv()."""

    def __init__(self, world, program, name="net", lab=None, args=(), prefix=()):
        self.world, self.path = world, world.sock(name)
        self.argv = [*prefix, program, *args, "--listen", self.path]
        if lab is not None:
            self.lab = Path(world.dir) / f"{name}.yaml"
            self.lab.write_text(lab)
            self.argv.append(self.lab)
        self.proc, self.controls = None, []
        self.start()

    def start(self):
        self.proc = Proc(self.argv, env=self.world.env, cwd=self.world.dir)
        self.proc.expect(f"vnet: listening on {self.path}\n")
        return self

    @property
    def pid(self):
        return self.proc.pid

    def control(self):
        control = Control(self.path + ".ctl")
        self.controls.append(control)
        return control

    def ask(self, verb, **args):
        with contextlib.closing(Control(self.path + ".ctl")) as control:
            return control.call(verb, **args)

    def links(self):
        return {link["name"]: link for link in self.ask("links")["links"]}

    def link(self, mac):
        return next((link for link in self.ask("links")["links"] if mac in link["macs"]), None)

    def wait_for(self, mac):
        """Waits until somebody with that MAC is plugged in and has spoken."""
        return eventually(lambda: self.link(mac), what=f"a plug with {mac}")

    def drops(self):
        """Frames dropped so far by reason, at all plugs and routers."""
        counters, total = self.ask("counters"), {}
        for place in counters["plugs"] + counters["networks"]:
            for reason, count in place["drops"].items():
                total[reason] = total.get(reason, 0) + count
        return total

    def memory(self):
        """Its resident set in bytes."""
        return resident(self.pid)

    def kill(self):
        """As a crash does it: nothing is cleaned up."""
        self.proc.signal(signal.SIGKILL)
        assert self.proc.wait() == -signal.SIGKILL

    def stop(self):
        self.proc.signal(signal.SIGTERM)
        code = self.proc.wait()
        assert code == 0, f"vnet ended with {code}: {self.proc.err}"

    def close(self):
        for control in self.controls:
            control.close()
        if self.proc and self.proc.child.returncode is None:
            self.stop()


class Node(Namespace):
    """A network namespace plugged in by `vnet plug`, with a real stack; its interface is NIC. It has
    a DHCP client state of its own."""

    SETUP = ("mkdir -p /run/netns /run/dhcpcd && "
               "echo 0 >/proc/sys/net/ipv6/conf/default/router_solicitation_delay && "  # else up to 1 s
               "{ [ ! -d /var/lib/dhcpcd ] || mount -t tmpfs none /var/lib/dhcpcd; }")

    def __init__(self, vnet, program, mac, name=None, args=()):
        self.mac, self.plug = mac, None
        self.plugging = [program, "plug", "--mac", mac, "--tap", NIC, "--listen", vnet.path,
                         *(["--name", name] if name else []), *args]
        super().__init__(vnet.world)
        try:
            self.run("sh", "-c", self.SETUP)
            self.replug()
        except BaseException:
            self.close()
            raise

    def replug(self):
        """Plugs it in, again where it was; the TAP of before is gone with its addresses."""
        if self.plug:
            self.plug.close()
            eventually(lambda: not self.link(NIC), what="no TAP any more")
        self.plug = self.spawn(*self.plugging)
        self.plug.expect("vnet: plugged .*\n")

    def addresses(self, family):
        """Addresses of NIC that may be used: no link-local ones, none that DAD still looks at."""
        info = json.loads(self.out("ip", "-j", f"-{family}", "address", "show", "dev", NIC))
        return [one["local"] for link in info for one in link.get("addr_info", [])
                if one["scope"] == "global" and not one.get("tentative")]

    def wait_for_address(self, family):
        return eventually(lambda: self.addresses(family), what=f"an IPv{family} address")[0]

    def dhcp(self):
        """An address by busybox' udhcpc, which stays until the node ends; set with `ip`."""
        script = Path(__file__).with_name("dhcp-script")
        self.run("busybox", "udhcpc", "-i", NIC, "-f", "-n", "-q", "-t", "20", "-T", "1", "-s", script)
        return self.wait_for_address(4)

    def ping(self, address, count=1, size=56):
        self.run("ping", "-n", "-c", count, "-W", SOON, "-s", size, address)

    def close(self):
        if self.plug:
            self.plug.close()
        super().close()
