"""A test's private place: bundle, run-time directory, sockets, ids nobody else has; and the proof, at
the end, that nothing of it is left."""
import contextlib
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path

from .net import Server
from .wait import SOON, gone

TMP = "/tmp"  # not tempfile's choice: socket paths must stay short, and QEMU NIC sockets live here


class World:
    def __init__(self, image):
        self.image = image
        self.suffix = "z" + secrets.token_hex(3)  # in no number and no hash
        self.dir = Path(tempfile.mkdtemp(prefix=f"tm{self.suffix}", dir=TMP))
        self.bundle, self.runtime, self.user_home = (self.dir / n for n in ("b", "r", "h"))
        for place in (self.bundle, self.runtime, self.user_home):
            place.mkdir(mode=0o700)
        inherited = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TERM")
                     or k.startswith(("ASAN_", "UBSAN_", "LSAN_"))}
        self.env = inherited | {"TAILMAC_HOME": str(self.bundle), "HOME": str(self.user_home),
                                "XDG_RUNTIME_DIR": str(self.runtime), "TMPDIR": str(self.dir)}
        self.commands, self.kept = [], []

    # Names

    def id(self, name):
        return f"{name}-{self.suffix}"

    def sock(self, name):
        return str(self.dir / f"{name}.sock")

    @staticmethod
    def nic_socket(vm_id):
        return f"{TMP}/qemu-dgram-{vm_id}.sock"

    # What lives in it

    def keep(self, thing):
        """Something with close(), which is called at the end at the latest."""
        self.kept.append(thing)
        return thing

    def server(self, name="net", **options):
        """A datagram server at sock(name)."""
        return self.keep(Server(self.sock(name), **options))

    # The end

    def end(self):
        """Ends every VM and everything kept, then says what was left over: a list of complaints."""
        complaints = [said for tm in self.commands for said in self.end_vms(tm)]
        for thing in reversed(self.kept):
            thing.close()
        complaints += self.leftovers()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # ours: it names our directory
        for path in self.strays():
            path.unlink(missing_ok=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        return complaints

    def end_vms(self, tm):
        complaints = []
        listed = tm.run("--format", "json", "ls", check=False, timeout=SOON)
        if listed.returncode:
            return [f"ls failed at the end: {listed.stderr}"]
        # Backwards: tests name a linked clone after its parent, which cannot go before it.
        ids = [vm["id"] for vm in reversed(json.loads(listed.stdout))]
        forks = [vm["id"] for vm in json.loads(listed.stdout) if "fork" in vm]
        for vm_id in forks + [vm_id for vm_id in ids if vm_id not in forks]:
            halted = tm.run("halt", "--id", vm_id, check=False)
            if halted.returncode:
                complaints.append(f"halt {vm_id} failed: {halted.stderr}")
                self.kill(tm, vm_id)
            if vm_id in forks:  # and gone
                continue
            deleted = tm.run("delete", "--id", vm_id, check=False)
            if deleted.returncode:
                complaints.append(f"delete {vm_id} failed: {deleted.stderr}")
        return complaints

    @staticmethod
    def kill(tm, vm_id):
        asked = tm.run("--format", "json", "status", "--id", vm_id, check=False)
        status = json.loads(asked.stdout) if asked.returncode == 0 else {}
        for pid in filter(None, (status.get("pid"), status.get("engine_pid"))):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            gone(pid, SOON)

    def leftovers(self, patience=SOON):
        """Complaints; a process gets that many seconds to finish ending."""
        deadline = time.monotonic() + patience
        found = [f"process {pid} is left: {command}" for pid, command in self.processes().items()
                 if not gone(pid, max(deadline - time.monotonic(), 0))]
        found += [f"file {path} is left" for path in self.strays()]
        found += [f"{path} is left in the bundle" for path in self.bundle.glob("*")
                  if self.suffix in path.name]
        found += [f"{path} is left in the bundle" for path in self.bundle.glob(".new-*")]
        found += [f"run-time file {path} is left" for path in self.runtime.rglob("*")
                  if self.suffix in path.name]
        return found

    def strays(self):
        return [path for path in Path(TMP).iterdir() if self.suffix in path.name and path != self.dir]

    def processes(self):
        """{pid: command line} of processes that name our directory or ids, or hold a file there."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid() and self.is_ours(entry):
                found[int(entry.name)] = read(entry / "cmdline").replace(b"\0", b" ").decode(
                    errors="replace").strip()
        return found

    def is_ours(self, entry):
        needle = self.suffix.encode()
        if needle in read(entry / "cmdline") or needle in read(entry / "environ"):
            return True
        try:
            links = [entry / "cwd", *(entry / "fd").iterdir()]
        except OSError:
            links = []
        return any(self.suffix in readlink(link) for link in links)


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def readlink(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""
