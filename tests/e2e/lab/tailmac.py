"""The command line under test, and one VM of a test as an object."""
import json
import os
import re
import signal
import subprocess

from .console import Console
from .proc import Proc
from .wait import BOOT, SOON, eventually, gone

COMMAND = 2 * BOOT  # for a command as a whole; its own deadlines are shorter


class Failed(AssertionError):
    """A command did not end as the test wants it to."""

    def __init__(self, argv, done, wanted):
        self.done = done
        super().__init__(f"{' '.join(map(str, argv))}: exit code {done.returncode}, wanted {wanted}\n"
                         f"stdout: {done.stdout}\nstderr: {done.stderr}")


class Tailmac:
    """Commands of one world, outside or in a place of its own (confined.py)."""

    def __init__(self, world, binaries, place=None):
        self.world, self.binaries, self.place = world, binaries, place
        self.prefix = place.prefix if place else ()
        self.bundle = place.root / str(world.bundle)[1:] if place else world.bundle
        world.commands.append(self)

    def argv(self, *args, program="tailmac"):
        return [*self.prefix, str(self.binaries / program), *map(str, args)]

    def run(self, *args, check=True, timeout=COMMAND):
        argv = self.argv(*args)
        done = subprocess.run(argv, env=self.world.env, cwd=self.world.dir, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if check and done.returncode != 0:
            raise Failed(argv, done, 0)
        return done

    def json(self, *args, timeout=COMMAND):
        return json.loads(self.run("--format", "json", *args, timeout=timeout).stdout)

    def fail(self, code, *args, timeout=COMMAND):
        """Runs what must fail with this exit code; its one line of complaint. Wrong usage (2) may be
        followed by where to read the right one."""
        done = self.run(*args, check=False, timeout=timeout)
        if done.returncode != code:
            raise Failed(self.argv(*args), done, code)
        lines = done.stderr.splitlines()
        if code == 2 and lines[1:] and lines[-1].startswith("try 'tailmac "):
            lines.pop()
        assert len(lines) == 1 and lines[0].startswith("tailmac: "), (
            f"{' '.join(map(str, args))}: wanted one line 'tailmac: …' on standard error, got:\n"
            + done.stderr)
        return lines[0]

    def spawn(self, *args, program="tailmac"):
        """A child in the foreground, ended with the test at the latest."""
        return self.world.keep(Proc(self.argv(*args, program=program), env=self.world.env,
                                    cwd=self.world.dir))

    def ids(self):
        return [vm["id"] for vm in self.json("ls")]

    def state(self, vm_id):
        """As `ls` says it, None where there is no such VM."""
        return next((vm["state"] for vm in self.json("ls") if vm["id"] == vm_id), None)

    def vm(self, name):
        return Vm(self, self.world.id(name))

    def network(self, name="net"):
        """A vnet at the world's sock(name), by the commands of `net`; not up yet."""
        return self.world.keep(Network(self, self.world.sock(name)))


class Network:
    def __init__(self, tm, path):
        self.tm, self.path = tm, path

    def words(self, *args):
        return ("net", "--listen", self.path, *args)

    def run(self, *args):
        return self.tm.run(*self.words(*args))

    def json(self, *args):
        return self.tm.json(*self.words(*args))

    def fail(self, code, *args):
        return self.tm.fail(code, *self.words(*args))

    def up(self, *args, lab=None):
        """`lab`: a lab file's text."""
        if lab is not None:
            (self.tm.world.dir / "lab.yaml").write_text(lab)
            args = ("lab.yaml", *args)
        self.run("up", *args)
        return self

    def down(self):
        return self.run("down")

    def pid(self):
        return self.json("status")["pid"]

    def kill(self, pid=None):
        """As a crash does it: nothing is cleaned up."""
        pid = pid or self.pid()
        os.kill(pid, signal.SIGKILL)
        assert gone(pid, SOON)

    def close(self):
        self.down()


class Vm:
    """A VM by its id; nothing exists until create() or another command makes it."""

    def __init__(self, tm, vm_id):
        self.tm, self.id = tm, vm_id
        self.dir = tm.bundle / vm_id
        self.nic_socket = tm.world.nic_socket(vm_id)
        self.open_console = None

    # Commands

    def create(self, *args, image=None, mac="52:cc:cc:cc:cc:07", sock=None):
        """From the test's image, on the test's own server socket, never on the machine's default."""
        self.tm.run("create", "--id", self.id, "--image", image or self.tm.world.image,
                    "--mac", mac, "--sock", sock or self.tm.world.sock("net"), *args)
        return self

    def start(self, *args, wait="ready", timeout=BOOT, headless=True):
        self.let_go()
        return self.tm.run("run", "--id", self.id, *(["--headless"] if headless else []),
                           "--wait", wait, "--timeout", timeout, *args)

    def host(self, *args):
        """`Host run` in the foreground."""
        self.let_go()
        return self.tm.spawn("run", "--id", self.id, "--headless", *args, program="Host")

    def until_ready(self, child):
        """Waits for the guest of a `run` or Host just spawned; `wait` by itself would not wait for a
        VM that does not run yet."""
        eventually(lambda: "pid" in self.status() or child.child.poll() is not None, what="a Host")
        if child.child.poll() not in (None, 0):
            child.fail(f"ended with {child.wait()}")
        self.wait("ready")

    def stop(self, *args):
        self.let_go()
        return self.tm.run("stop", "--id", self.id, *args)

    def halt(self):
        self.let_go()
        return self.tm.run("halt", "--id", self.id)

    def delete(self, *args):
        return self.tm.run("delete", "--id", self.id, *args)

    def status(self):
        return self.tm.json("status", "--id", self.id)

    def wait(self, what, timeout=BOOT):
        return self.tm.run("wait", "--id", self.id, "--for", what, "--timeout", timeout)

    def configure(self, *args):
        return self.tm.run("configure", "--id", self.id, *args)

    def fail(self, code, command, *args):
        return self.tm.fail(code, command, "--id", self.id, *args)

    # What status says

    @property
    def state(self):
        return self.status()["state"]

    def until(self, key, value, timeout=BOOT):
        """Waits until status has that value; the whole status."""
        last = {}

        def there():
            last.update(self.status())
            return last.get(key) == value
        eventually(there, timeout, f"{self.id}: {key} {value!r}")
        return last

    def nic(self, role="socket"):
        return next(nic for nic in self.status()["nics"] if nic["role"] == role)

    def until_nic(self, role="socket", timeout=SOON, **wanted):
        """Waits until that NIC's values in status are these."""
        return eventually(lambda: (lambda nic: nic if all(nic.get(k) == v for k, v in wanted.items())
                                   else None)(self.nic(role)), timeout, f"{role} NIC: {wanted}")

    def addresses(self):
        """IPv4 addresses as the agent reports them, by MAC."""
        return {nic["mac"]: [re.sub(r"/\d+$", "", a) for a in nic["addresses"] if "." in a]
                for nic in self.status()["agent"]["nics"]}

    def at_rest(self):
        """How the last run ended, once it has."""
        self.wait("stopped")
        status = self.status()
        assert status["state"] == "stopped", status
        return status["ended"]

    # Its files

    @property
    def config(self):
        return json.loads((self.dir / "config.json").read_text())

    def write_config(self, config):
        (self.dir / "config.json").write_text(json.dumps(config))

    @property
    def saved_files(self):
        return (self.dir / "SaveFile.vzvmsave").exists()

    @property
    def host_log(self):
        return (self.dir / "host.log").read_text()

    def copy_to(self, name):
        """`cp -r` of the directory, as people do it."""
        other = self.tm.vm(name)
        subprocess.run(["cp", "-r", self.dir, other.dir], check=True)
        return other

    # The guest

    def console(self):
        """A connection of its own to the serial console; the caller closes it."""
        return Console(self.status()["console"])

    def shell(self):
        """The connection kept until the VM is stopped through this object."""
        if self.open_console is None:
            self.open_console = self.console()
        return self.open_console

    def let_go(self):
        if self.open_console:
            self.open_console.close()
            self.open_console = None

    def sh(self, command, timeout=BOOT):
        return self.shell().sh(command, timeout)

    def boot_id(self):
        return self.sh("cat /proc/sys/kernel/random/boot_id")

    def guest_nics(self):
        """{MAC: carrier} of the guest's Ethernet interfaces, as its own kernel has them."""
        lines = self.sh("for n in /sys/class/net/*; do [ -e $n/device ] && "
                        "echo $(cat $n/address) $(cat $n/carrier 2>/dev/null || echo 0); done; true")
        return {mac: carrier == "1" for mac, carrier in (line.split() for line in lines.splitlines())}

    def until_nics(self, nics):
        """Waits until these are all it has: a NIC comes up, or hears of its cable, a moment later."""
        eventually(lambda: self.guest_nics() == nics, what=f"NICs of the guest: {nics}")
