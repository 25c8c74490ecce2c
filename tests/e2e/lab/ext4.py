"""Is the ext4 file system in a disk image whole? Asked of a copy, after the journal's replay."""
import struct
import subprocess
import tempfile
from pathlib import Path

SUPERBLOCK, MAGIC_AT, MAGIC = 1024, 56, b"\x53\xef"
SECTOR = 512


def has_ext4(image, offset):
    image.seek(offset + SUPERBLOCK + MAGIC_AT)
    return image.read(2) == MAGIC


def find_offset(path):
    """Where the file system starts: the whole disk, or one of four primary partitions."""
    with open(path, "rb") as image:
        if has_ext4(image, 0):
            return 0
        image.seek(446)
        table = image.read(64)
        for entry in range(0, 64, 16):
            offset = struct.unpack("<I", table[entry + 8:entry + 12])[0] * SECTOR
            if offset and has_ext4(image, offset):
                return offset
    raise AssertionError(f"{path} holds no ext4 file system")


def e2fsck(*args):
    done = subprocess.run(["e2fsck", *map(str, args)], text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def check(path):
    """The disk as a guest would mount it after a crash has no error at all."""
    with tempfile.TemporaryDirectory(prefix="tmfsck", dir=Path(path).parent.parent) as place:
        copy = Path(place) / "disk"
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", path, copy], check=True)
        device = f"{copy}?offset={find_offset(copy)}"
        code, said = e2fsck("-E", "journal_only", "-y", device)
        assert code in (0, 1), f"e2fsck cannot replay the journal of {path}: {code}\n{said}"
        code, said = e2fsck("-fn", device)
        assert code == 0, f"e2fsck finds damage in {path}: {code}\n{said}"
