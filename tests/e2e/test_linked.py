"""Linked clones: a disk that holds what differs from its parent's, and a parent that stays as it is."""
import errno
import hashlib
import os
import shutil
import signal
import subprocess

import pytest

from lab.wait import eventually
from test_at_rest import grow_old, half_made


def digest(path):
    """Of a file's content and size, without reading its holes."""
    sha = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY)
    end = os.fstat(fd).st_size
    at = 0
    while at < end:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            assert e.errno == errno.ENXIO
            break
        stop = os.lseek(fd, at, os.SEEK_HOLE)
        sha.update(f"{at} {stop}".encode())
        while at < stop:
            data = os.pread(fd, min(1 << 20, stop - at), at)
            sha.update(data)
            at += len(data)
    os.close(fd)
    return sha.hexdigest(), end


def digests(vm):
    """Of every file that makes a VM, and when it was written."""
    return {str(path.relative_to(vm.dir)): (digest(path), path.stat().st_mtime_ns)
            for path in vm.dir.rglob("*") if path.is_file() and path.suffix != ".log"}


def link(tm, parent, name, *args):
    child = tm.vm(name)
    tm.run("clone", "--id", parent.id, "--target-id", child.id, "--linked", *args)
    return child


def check(vm):
    subprocess.run(["qemu-img", "check", "-q", vm.dir / "Disk.img"], check=True)


def put(vm, name):
    vm.sh(f"echo {name} >/data/{name}; sync")


def files(vm):
    """What the guest finds on its disk, not in its cache."""
    vm.sh("echo 3 >/proc/sys/vm/drop_caches")
    return set(vm.sh("cat /data/[a-z] 2>/dev/null; true").split())


@pytest.fixture
def base(vm):
    """A VM with a saved state and something on its disk."""
    put(vm, "p")
    vm.sh("echo kept >/run/memory")
    vm.stop()
    return vm


def test_a_linked_clone_goes_on_where_its_parent_was_and_writes_beside_it(tm, server, base):
    before = digests(base)
    child, other = link(tm, base, "b", "--fresh-identity"), link(tm, base, "c", "--fresh-identity")
    assert (child.dir / "Disk.img").stat().st_blocks * 512 < 1 << 20
    assert child.config["diskFormat"] == "qcow2"
    child.start()
    other.start()
    assert child.status()["boot"] == "resumed"
    assert child.sh("cat /run/memory") == "kept"
    assert child.nic()["mac"] == child.config["mac"] != base.config["mac"]
    server.wait_from(child.config["mac"])
    put(child, "b")
    put(other, "c")
    assert files(child) == {"p", "b"}
    assert files(other) == {"p", "c"}
    child.stop()
    other.halt()
    check(child)
    child.start()
    assert files(child) == {"p", "b"}
    child.halt()
    assert digests(base) == before


def test_a_parent_tells_of_its_children_and_stays_as_it_is(tm, base):
    child = link(tm, base, "b", "--fresh-identity")
    before = digests(base)
    assert base.status()["children"] == [child.id]
    assert child.status()["parent"] == base.id
    assert f"linked to {base.id}" in tm.run("ls").stdout
    for command in ["run", "delete", "delete --force", "run --discard-state"]:
        assert child.id in base.fail(5, *command.split())
    tm.run("run", base.id, "--discard-state", check=False)
    assert digests(base) == before
    child.start()  # now its lock is held, too
    for command in ["run", "delete", "configure --mem 300M"]:
        assert child.id in base.fail(5, *command.split())
    assert base.state == "stopped"
    base.fail(6, "pause")
    copy = tm.vm("c")
    tm.run("clone", base.id, copy.id)  # as before
    child.halt()
    base.configure("--mac", "52:cc:cc:cc:cc:0f")
    child.delete()
    assert "children" not in base.status()
    base.start()
    assert files(base) == {"p"}


def test_a_parents_disk_keeps_its_size(tm):
    base = tm.vm("a").create()
    child = link(tm, base, "b")
    assert child.id in base.fail(5, "configure", "--disk", "2G")
    child.configure("--disk", "2G")
    child.start()
    assert child.sh("cat /sys/class/block/vda/size").strip() == str((2 << 30) // 512)
    child.halt()
    check(child)


def test_a_child_has_children_up_to_a_limit(tm, base):
    chain = [base]
    for name in "bcdefgh":
        chain.append(link(tm, chain[-1], name, "--fresh-identity"))
    assert "8 disks" in chain[-1].fail(1, "clone", "--linked", "--target-id", tm.vm("i").id)
    last = chain[-1]
    last.start()
    put(last, "h")
    assert files(last) == {"p", "h"}
    assert chain[1].id in base.fail(5, "delete")
    assert chain[2].id in chain[1].fail(5, "run")
    last.stop()
    last.start()
    assert files(last) == {"p", "h"}


def test_a_plain_clone_of_a_child_is_whole(tm, base):
    child = link(tm, base, "b", "--fresh-identity")
    child.start()
    put(child, "b")
    child.stop()
    whole = tm.vm("c")
    tm.run("clone", "--id", child.id, "--target-id", whole.id, "--fresh-identity")
    child.delete()
    base.delete()
    whole.start()
    assert whole.status()["boot"] == "resumed" and "parent" not in whole.status()
    assert files(whole) == {"p", "b"}
    whole.halt()
    check(whole)


def test_copies_of_the_bundle_run_and_of_a_child_alone_do_not(tm, world, base):
    child = link(tm, base, "b", "--fresh-identity")
    sibling = child.copy_to("c")
    assert base.status()["children"] == sorted([child.id, sibling.id])
    elsewhere = world.dir / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(child.dir, elsewhere / child.id)
    complaint = tm.fail(1, "--home", elsewhere, "run", child.id)
    assert f"linked to VM '{base.id}'" in complaint and str(elsewhere) in complaint
    assert base.id in tm.fail(1, "--home", elsewhere, "clone", child.id, "x")
    shutil.copytree(base.dir, elsewhere / base.id)
    tm.fail(5, "--home", elsewhere, "run", base.id)
    tm.run("--home", elsewhere, "run", child.id, "--headless", "--wait", "ready")
    tm.run("--home", elsewhere, "halt", child.id)


def test_a_parent_that_was_changed_is_refused(tm, base):
    child = link(tm, base, "b", "--fresh-identity")
    before = digests(child)
    with (base.dir / "Disk.img").open("r+b") as disk:
        disk.seek(1 << 20)
        disk.write(b"changed")
    for command in (["run"], ["clone", "--target-id", tm.vm("c").id]):
        complaint = child.fail(1, *command)
        assert base.id in complaint and "changed" in complaint
    untouched = {"Disk.img", "SaveFile.vzvmsave/ram.img", "SaveFile.vzvmsave/manifest.json"}
    assert {n: digests(child)[n] for n in untouched} == {n: before[n] for n in untouched}


def test_a_saved_state_that_fits_no_more_is_not_passed_on(tm, base):
    os.utime(base.dir / "Disk.img")
    complaint = base.fail(1, "clone", "--linked", "--target-id", tm.vm("b").id)
    assert "changed after the state was saved" in complaint
    assert tm.ids() == [base.id]


@pytest.mark.parametrize("linked", [[], ["--linked"]])
def test_a_retired_state_is_passed_on_for_the_next_run_to_judge(tm, base, linked):
    (base.dir / "SaveFile.vzvmsave").rename(base.dir / ".SaveFile.retired")
    copy = tm.vm("b")
    tm.run("clone", base.id, copy.id, "--fresh-identity", *linked)
    copy.start()
    assert copy.status()["boot"] == "resumed"
    assert copy.sh("cat /run/memory") == "kept"


def test_a_vm_without_a_disk_has_nothing_to_link_to(tm):
    base = tm.vm("a").create()
    config = base.config
    del config["diskFormat"]
    base.write_config(config)
    (base.dir / "Disk.img").unlink()
    assert "no disk" in base.fail(1, "clone", "--linked", "--target-id", tm.vm("b").id)
    assert tm.ids() == [base.id]


# What a raw disk begins with is its guest's business.
def test_a_guest_cannot_link_its_disk(tm):
    base, other = tm.vm("a").create(), tm.vm("b").create()
    child = link(tm, base, "c")
    shutil.copy(child.dir / "Disk.img", other.dir / "Disk.img")
    child.delete()
    assert "parent" not in other.status() and "children" not in base.status()
    base.delete()


def test_killed_linked_clones_and_children_leave_the_parent_whole(tm, world, base, count, rng):
    child = tm.vm("b")
    before = digests(base)
    for n in range(count(4, 100)):
        clone = tm.spawn("clone", base.id, child.id, "--linked", "--fresh-identity")
        clone.ends_within(rng.uniform(0, 0.1))
        clone.signal(signal.SIGKILL)
        clone.wait()
        assert tm.ids() in ([base.id], [base.id, child.id]), f"round {n}"
        if not child.dir.exists():
            tm.run("clone", base.id, child.id, "--linked", "--fresh-identity")
        child.start()
        put(child, "b")
        os.kill(child.status()["pid"], signal.SIGKILL)
        eventually(lambda: child.state == "stopped", what="the end of a killed child")
        assert digests(base) == before, f"round {n}"
        child.start()
        assert files(child) == {"p", "b"}
        child.halt()
        child.delete()
    base.start()
    assert files(base) == {"p"}
    base.halt()
    grow_old(world)
    tm.vm("c").create()
    assert not half_made(world)
