"""The guest's serial console: a root shell, spoken to in whole commands.

Every command is framed by markers that the echo of what was typed cannot contain, so neither echo,
prompt nor kernel messages are taken for its output. The shell's printf fails, what it had is lost,
when a background child ends during its write: then it says it again.
"""
import re
import secrets
import select
import shlex
import socket
import time

from .wait import BOOT, SOON

PROMPT = "tiny# "
NUDGE = 2  # seconds after which a silent console is sent another newline


class Closed(AssertionError):
    """The console ended: the VM stopped, or it let go of us."""


class Console:
    def __init__(self, path, timeout=SOON):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.text = ""  # all that came
        self.seen = 0   # how much of it was consumed
        self.greeted = False

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def type(self, text):
        self.sock.sendall(text.encode())

    def read(self, deadline):
        """More text, or False at the deadline."""
        if not select.select([self.sock], [], [], max(deadline - time.monotonic(), 0))[0]:
            return False
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Closed(f"the console ended; its last words:\n{self.text[-2000:]}")
        self.text += data.decode(errors="replace")
        return True

    def expect(self, pattern, timeout=BOOT):
        """The next match in what the guest prints."""
        deadline, regex = time.monotonic() + timeout, re.compile(pattern, re.S)
        while True:
            found = regex.search(self.text, self.seen)
            if found:
                self.seen = found.end()
                return found
            if not self.read(deadline):
                raise AssertionError(f"no {pattern!r} on the console within {timeout} s; since then:\n"
                                     f"{self.text[self.seen:][-2000:]}")

    def greet(self, timeout=BOOT):
        """Waits for a shell. What is typed before it runs may be lost, so ask again now and then."""
        deadline = time.monotonic() + timeout
        while not self.greeted:
            self.type("\n")
            try:
                self.expect(re.escape(PROMPT), min(NUDGE, max(deadline - time.monotonic(), 0.1)))
                self.greeted = True
            except Closed:
                raise
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def run(self, command, timeout=BOOT):
        """(exit code, output) of one shell command in the guest's console shell itself: variables and
        open descriptors last, also across a save."""
        self.greet(timeout)
        mark = secrets.token_hex(4)
        self.type(f"until printf '[%s>' {mark}; do :; done; eval {shlex.quote(command)}; code=$?; "
                  f"until printf '<%s:%s]\\n' {mark} $code; do :; done\n")
        found = self.expect(rf"\[{mark}>(.*?)<{mark}:(\d+)\]", timeout)
        return int(found[2]), found[1].replace("\r", "").strip("\n")

    def sh(self, command, timeout=BOOT):
        """The output of a command that must succeed, without surrounding newlines."""
        code, out = self.run(command, timeout)
        assert code == 0, f"in the guest: {command}: exit code {code}\n{out}"
        return out
