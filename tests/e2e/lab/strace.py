"""Host under strace, which kills or holds it at one of its system calls; the call is not made."""
import contextlib
import os
import signal
from dataclasses import dataclass

from .proc import Proc, children
from .wait import SOON

HELD = "stopped by SIGSTOP"  # says strace
KILL, HOLD = "signal=KILL", "signal=STOP:error=EINTR"  # it stands before it sees that error

# The Host becomes a child of what becomes strace: then Yama, too, lets a plain user attach.
ATTACH = '"$@" & echo $!; read -r options; exec strace $options -p $!'


@dataclass(frozen=True)
class Call:
    """The n-th of one system call: of the first thread, or of any. strace counts for each by itself."""
    name: str
    n: int
    threads: bool = False

    def __str__(self):
        return f"{self.name} {self.n}{' of a thread' if self.threads else ''}"

    def options(self, fate):
        """The engine is not traced: one that runs is no thread, a new one is let go at its exec. No
        call is shown, so that all words are Host's, but for what becomes of it."""
        return [*(["-f", "-b", "execve"] if self.threads else []), "-e", f"trace={self.name}",
                "-e", "status=none", "-e", f"inject={self.name}:{fate}:when={self.n}"]


def argv(vm):
    return vm.tm.argv("run", "--id", vm.id, "--headless", program="Host")


def start(vm, *command):
    world = vm.tm.world
    return world.keep(Proc(command, env=world.env, cwd=world.dir))


def host(vm, call, fate=KILL):
    """`Host run` in the foreground; strace counts from its start."""
    return start(vm, "strace", *call.options(fate), *argv(vm))


def kill(child):
    """The Host that was started under that strace; with it strace ends."""
    for pid in children(child.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def host_to_be(vm):
    """`Host run` in the foreground, to be traced later on."""
    child = start(vm, "sh", "-c", ATTACH, "sh", *argv(vm))
    child.line()
    return child


def attach(child, call):
    """Kills that Host; strace counts from now."""
    child.say(" ".join(call.options(KILL)) + "\n")
    child.until(lambda: " attached" in child.err, "word that strace is attached", SOON)
