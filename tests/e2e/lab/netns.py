"""A network namespace that any user may make, with a /run of its own; it ends with its holder."""
import json
import subprocess

from .proc import Proc
from .wait import SOON


SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # what plain users have no use for outside


class Namespace:
    PREPARE = "mount -t tmpfs none /run && ip link set lo up && echo ready && exec cat"

    def __init__(self, world):
        self.world = world
        self.env = world.env | {"PATH": f"{world.env['PATH']}:{SBIN}"}
        self.holder = Proc(["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c",
                            self.PREPARE], env=self.env)
        try:
            self.holder.expect("ready\n")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self):
        return self.holder.pid

    def argv(self, *argv):
        return ["nsenter", "--target", str(self.pid), "--user", "--net", "--mount",
                "--preserve-credentials", "--", *map(str, argv)]

    def spawn(self, *argv):
        return Proc(self.argv(*argv), env=self.env, cwd="/")

    def run(self, *argv, check=True, timeout=SOON):
        done = subprocess.run(self.argv(*argv), check=False, text=True, capture_output=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, env=self.env, cwd="/")
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def out(self, *argv, timeout=SOON):
        """Standard output of a command that must succeed."""
        return self.run(*argv, timeout=timeout).stdout

    def link(self, name, *inside):
        """What `ip link` tells of an interface, None where there is none."""
        done = self.run(*inside, "ip", "-j", "link", "show", "dev", name, check=False)
        return json.loads(done.stdout)[0] if done.returncode == 0 else None

    def close(self):
        self.holder.close()
