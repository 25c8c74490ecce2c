"""Files and trees into the guest and out of it: they arrive as they were, whole or not at all."""
import os
import signal
import stat
import subprocess

import pytest

from lab.confined import Confined
from lab.wait import BOOT, eventually

MIB = 1 << 20
HIDDEN = ".tailmac-cp-"


@pytest.fixture
def here(world):
    """A directory of ours, the working directory of what tm runs."""
    place = world.dir / "cp"
    place.mkdir()
    return place


def guest(vm, script):
    """What a shell in the guest says to a script."""
    return vm.tm.run("exec", "--id", vm.id, "--", "sh", "-c", script).stdout


def names(vm, directory="/data"):
    return set(guest(vm, f"ls -A {directory}").split()) - {"lost+found", "base"}


def cp(vm, *args):
    return vm.tm.json("cp", *args, timeout=2 * BOOT)


def look(top):
    """{path: (mode, mtime, content)} of a tree."""
    found = {}
    for path in [top, *top.rglob("*")]:
        at = path.lstat()
        what = (os.readlink(path) if stat.S_ISLNK(at.st_mode) else
                path.read_bytes() if stat.S_ISREG(at.st_mode) else None)
        found[str(path.relative_to(top))] = (at.st_mode, at.st_mtime_ns, what)
    return found


def make_tree(top, rng, files):
    for i in range(files):
        folder = top / str(i % 37) / str(i % 11)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"file {i}"
        path.write_bytes(rng.randbytes(rng.randrange(3000)))
        path.chmod(rng.choice((0o644, 0o600, 0o755, 0o444)))
        os.utime(path, ns=(0, rng.randrange(1 << 60)))
    (top / "empty").mkdir(mode=0o700)
    (top / "link").symlink_to("0/0")
    (top / "dangling").symlink_to("/nowhere/../x")
    os.utime(top / "empty", ns=(0, 10**18 + 1))


def big_file(path, mib=256):
    """Enough that a copy of it can be met in the middle."""
    with path.open("wb") as out:
        for _ in range(mib):
            out.write(b"x" * MIB)
    return path


class Copy:
    """`tailmac cp` in the foreground, ended with the test."""

    def __init__(self, vm, *args):
        self.child = subprocess.Popen(vm.tm.argv("cp", *args), env=vm.tm.world.env, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        vm.tm.world.keep(self)

    def end(self):
        """Its exit code, and what it said."""
        said = self.child.communicate(timeout=BOOT)[1]
        return self.child.returncode, said

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


def copying_in(vm, here, *options):
    """A copy into the guest that has begun to write there."""
    copy = Copy(vm, *options, big_file(here / "big"), f"{vm.id}:/data")
    eventually(lambda: any(n.startswith(HIDDEN) for n in names(vm)), BOOT, "a copy in the guest")
    return copy


def copying_out(vm, here, *options):
    guest(vm, f"head -c {100 * MIB} /dev/zero >/dev/shm/big")
    copy = Copy(vm, *options, f"{vm.id}:/dev/shm/big", here)
    eventually(lambda: any(p.name.startswith(HIDDEN) and p.stat().st_size for p in here.iterdir()),
               BOOT, "a copy here")
    return copy


# What arrives


def test_a_tree_there_and_back(vm, here, rng, count):
    files = count(300, 5000)
    make_tree(here / "tree", rng, files)
    told = cp(vm, here / "tree", f"{vm.id}:/data")
    assert (told["files"], told["links"], told["skipped"]) == (files, 2, 0)
    assert cp(vm, f"{vm.id}:/data/tree", here / "back")["bytes"] == told["bytes"]
    assert look(here / "back") == look(here / "tree")
    assert names(vm) == {"tree"}


def test_holes_stay_holes_on_both_sides(vm, here):
    with (here / "sparse").open("wb") as out:
        out.truncate(1 << 30)
        out.seek(700 * MIB)
        out.write(b"data")
    assert cp(vm, here / "sparse", f"{vm.id}:/data")["bytes"] <= MIB
    size, blocks = guest(vm, "stat -c '%s %b' /data/sparse").split()
    assert (int(size), int(blocks) * 512 <= MIB) == (1 << 30, True)
    assert cp(vm, f"{vm.id}:/data/sparse", here / "back")["bytes"] <= MIB
    there = (here / "back").stat()
    assert (there.st_size, there.st_blocks * 512 <= MIB) == (1 << 30, True)
    with (here / "back").open("rb") as back:
        back.seek(700 * MIB - 4)
        assert back.read(9) == b"\0\0\0\0data\0"


def test_bytes_arrive_whole(vm, here, rng, count):
    data = rng.randbytes(count(8, 256) * MIB + 17)
    (here / "f").write_bytes(data)
    cp(vm, here / "f", f"{vm.id}:/data/f")
    cp(vm, f"{vm.id}:/data/f", here / "g")
    assert (here / "g").read_bytes() == data


def test_names_and_users_and_what_has_no_size(vm, here):
    (here / "f").write_text("1")
    guest(vm, "mkdir -m 777 /data/d")
    assert vm.tm.run("cp", here / "f", f"{vm.id}:/data/d").stdout == ""
    cp(vm, "--user", "1234", here / "f", f"{vm.id}:/data/d/other")
    assert guest(vm, "cd /data/d; stat -c '%n %u' *").split() == ["f", "0", "other", "1234"]
    assert "Permission denied" in vm.tm.fail(1, "cp", "--user", "1234", here / "f", f"{vm.id}:/data/x")
    cp(vm, f"{vm.id}:/data/d/.", here)  # its content, not itself
    assert {p.name for p in here.iterdir()} == {"f", "other"}
    cp(vm, f"{vm.id}:/proc/uptime", here)
    assert float((here / "uptime").read_text().split()[0]) > 0
    cp(vm, here / "f", f"{vm.id}:")
    assert guest(vm, "cat ~/f") == "1"


def test_a_file_is_replaced_a_directory_added_to(vm, here):
    guest(vm, "mkdir -p /data/t/d; echo old >/data/t/f; echo other >/data/t/d/other")
    (here / "t" / "d").mkdir(parents=True)
    (here / "t" / "f").write_text("new\n")
    cp(vm, here / "t", f"{vm.id}:/data")
    assert guest(vm, "cd /data/t; cat f d/other") == "new\nother\n"
    (here / "t" / "d" / "other").mkdir()
    said = vm.tm.fail(1, "cp", here / "t", f"{vm.id}:/data")
    assert "other is there and is no directory: nothing is replaced" in said
    guest(vm, "echo f >/data/f")
    (here / "f").mkdir()
    assert "f is there and is a directory" in vm.tm.fail(4, "cp", f"{vm.id}:/data/f", here)
    assert names(vm) == {"t", "f"}


def test_wrong_usage_and_what_is_not_there(tm, vm, here):
    for args in ((), ("a",), ("a", "b"), (f"{vm.id}:a", f"{vm.id}:b"), (f"{vm.id}:a", ""), ("a", "-x:/b"),
                 ("a", "b:c", "d")):
        tm.fail(2, "cp", *args)
    (here / "f").write_text("")
    tm.fail(3, "cp", here / "f", "none:/f")
    for source, target in ((f"{vm.id}:/none", here), (here / "none", f"{vm.id}:/data"),
                           (here / "f", f"{vm.id}:/none/f"), (f"{vm.id}:/dev/null", here)):
        assert "cannot copy" in tm.fail(1, "cp", source, target)
    assert {p.name for p in here.iterdir()} == {"f"}
    vm.halt()
    tm.fail(6, "cp", here / "f", f"{vm.id}:/data")


# Interrupted


@pytest.mark.parametrize("how, code", [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_command_line_that_is_killed_leaves_nothing(vm, here, how, code):
    copy = copying_in(vm, here)
    copy.child.send_signal(how)
    assert copy.end()[0] == code
    eventually(lambda: names(vm) == set(), what="nothing left in the guest")
    (here / "big").unlink()
    copy = copying_out(vm, here)
    copy.child.send_signal(how)
    assert copy.end()[0] == code
    eventually(lambda: not list(here.iterdir()), what="nothing left here")


def test_a_timeout_is_7(vm, here):
    big_file(here / "big")
    assert "in time" in vm.tm.fail(7, "cp", "--timeout", "0.5", here / "big", f"{vm.id}:/data")
    eventually(lambda: names(vm) == set(), what="nothing left in the guest")


def test_an_agent_that_is_killed_leaves_nothing(vm, here):
    copy = copying_in(vm, here)
    subprocess.run(vm.tm.argv("exec", "--id", vm.id, "--", "sh", "-c", "kill -9 $PPID"),
                   env=vm.tm.world.env, capture_output=True, timeout=BOOT, check=False)
    code, said = copy.end()
    assert code == 1 and "agent" in said
    eventually(lambda: names(vm) == set(), what="nothing left in the guest")


def test_a_vm_that_is_halted_leaves_nothing_under_the_name(vm, here):
    copy = copying_in(vm, here)
    vm.halt()
    code, said = copy.end()
    assert code in (1, 6) and "cannot copy" in said
    vm.start()
    assert "big" not in names(vm)
    (here / "big").unlink()
    copy = copying_out(vm, here)
    vm.halt()
    assert copy.end()[0] in (1, 6)
    assert not list(here.iterdir())


def test_what_an_earlier_boot_left_goes_with_the_next_copy(vm, here):
    boot = guest(vm, "head -c 8 /proc/sys/kernel/random/boot_id")
    stale, live = (f"{HIDDEN}{mark}-0123456789abcdef" for mark in ("0" * 8, boot))
    (here / "f").write_text("x")
    guest(vm, f"cd /data; mkdir -p {stale}/d {live} {HIDDEN}x; touch {stale}/d/f")
    guest(vm, f"mkdir /tmp/memory; mount -t tmpfs tmpfs /tmp/memory; mkdir /tmp/memory/{stale}")
    for place in ("/data", "/tmp/memory"):
        cp(vm, here / "f", f"{vm.id}:{place}/")
    assert names(vm) == {"f", live, f"{HIDDEN}x"}
    assert names(vm, "/tmp/memory") == {"f", stale}, "it may be another computer's"


def test_full_disks(vm, here, world):
    (here / "f").write_bytes(b"x" * 4 * MIB)
    guest(vm, "mkdir /tmp/small; mount -t tmpfs -o size=1m tmpfs /tmp/small")
    said = vm.tm.fail(1, "cp", here / "f", f"{vm.id}:/tmp/small")
    assert "in the guest: cannot write f: No space left on device" in said
    assert names(vm, "/tmp/small") == set()
    cp(vm, here / "f", f"{vm.id}:/data/f")
    (here / "small").mkdir()
    small = world.keep(Confined(here / "small", "1M"))
    done = subprocess.run([*small.prefix, *vm.tm.argv("cp", f"{vm.id}:/data/f", here / "small")],
                          env=world.env, capture_output=True, text=True, timeout=BOOT, check=False)
    assert done.returncode == 8 and "cannot write f: No space left on device" in done.stderr
    assert not list((small.root / str(here / "small")[1:]).iterdir())


def test_copies_at_once_do_not_meet(vm, here, rng, count):
    many = count(8, 64)
    for i in range(many):
        (here / f"f{i}").write_bytes(rng.randbytes(100000))
    copies = [Copy(vm, here / f"f{i}", f"{vm.id}:/data/f") for i in range(many)]
    assert [copy.end() for copy in copies] == [(0, "")] * many
    cp(vm, f"{vm.id}:/data/f", here / "back")
    assert (here / "back").read_bytes() in [(here / f"f{i}").read_bytes() for i in range(many)]
    assert names(vm) == {"f"}
