"""A mount namespace in which one directory is a small file system: full disks for any user."""
import subprocess
from pathlib import Path

from .proc import Proc


class Confined:
    """`prefix` makes a command run inside. The file system and its files end with close()."""

    def __init__(self, directory, size):
        self.directory = str(directory)
        self.holder = Proc(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                            'mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && read _',
                            "sh", size, self.directory])
        try:
            self.holder.expect("mounted")
        except AssertionError:
            self.holder.close()
            raise
        self.root = Path(f"/proc/{self.holder.pid}/root")  # the same from outside
        self.prefix = ("nsenter", "--target", str(self.holder.pid), "--user", "--mount",
                       "--preserve-credentials", "--")

    def run(self, *argv):
        return subprocess.run([*self.prefix, *map(str, argv)], check=True, text=True,
                              capture_output=True).stdout

    def fill(self, name="ballast", leave=0):
        """Takes all free space but `leave` bytes, with a file in the directory."""
        path = f"{self.directory}/{name}"
        self.run("sh", "-c", 'head -c $(( $(stat -f -c "%a * %S" "$1") - $2 )) /dev/zero > "$3"',
                 "sh", self.directory, leave, path)
        return path

    def close(self):
        self.holder.close()
