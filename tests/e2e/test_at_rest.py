"""VMs at rest: made, shown, changed, copied, removed; and nothing half-made, whatever dies."""
import json
import os
import signal

import pytest

from lab.tailmac import COMMAND
from lab.wait import SOON, eventually


def listing(directory):
    """Every file under a directory with its content's size and time, to prove that nothing changed."""
    return {str(path.relative_to(directory)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in directory.rglob("*") if path.name != "lock"}


@pytest.fixture
def big_image(world):
    """A disk image that takes a moment to copy, wherever it is copied to."""
    path = world.dir / "big.img"
    with path.open("wb") as image:
        for _ in range(384):
            image.write(os.urandom(1 << 20))
    return path


def test_create_writes_what_was_asked_for(tm, world):
    vm = tm.vm("a")
    tm.run("create", "--id", vm.id, "--image", world.image, "--mac", "52:cc:cc:cc:cc:07",
           "--ethermac", "52:cc:cc:cc:ce:07", "--mem", "300000000", "--sock", world.sock("x"),
           "--port", "52345")
    config = vm.config
    assert config["memorySize"] == 300000000
    assert config["mac"] == "52:cc:cc:cc:cc:07"
    assert config["ethermac"] == "52:cc:cc:cc:ce:07"
    assert config["serverSocket"] == world.sock("x")
    assert config["port"] == 52345
    assert config["vmID"] == vm.id
    assert (vm.dir / "Disk.img").exists()
    assert tm.ids() == [vm.id]
    assert vm.status()["state"] == "stopped"
    assert str(world.dir) not in json.dumps({k: v for k, v in config.items() if k != "serverSocket"})


@pytest.mark.parametrize("text, size", [("512M", 512 << 20), ("1G", 1 << 30), ("268435456", 1 << 28)])
def test_sizes_as_people_write_them(tm, text, size):
    assert tm.vm("a").create("--mem", text).config["memorySize"] == size


def test_the_bundles_restore_image_is_the_default(tm, world):
    (world.bundle / "RestoreImage.tar.zst").symlink_to(world.image)
    vm = tm.vm("a")
    tm.run("create", vm.id, "--sock", world.sock("net"))
    assert tm.ids() == [vm.id]


def test_configure_changes_one_thing_and_shows_the_result(tm, world):
    vm = tm.vm("a").create()
    before = vm.config
    shown = tm.json("configure", "--id", vm.id, "-sock", world.sock("other"))
    assert shown["serverSocket"] == world.sock("other")
    assert vm.config == before | {"serverSocket": world.sock("other")}
    tm.run("configure", vm.id, "--mac", "52:cc:cc:cc:cc:09", "--mem", "256M", "--port", "1234")
    assert vm.config == before | {"serverSocket": world.sock("other"), "mac": "52:cc:cc:cc:cc:09",
                                  "memorySize": 256 << 20, "port": 1234}


def test_a_configuration_edited_by_hand_is_honoured_and_kept(tm):
    vm = tm.vm("a").create()
    vm.write_config(vm.config | {"mac": "52:cc:cc:cc:cc:42", "comment": {"of": ["mine"]}})
    assert vm.status()["mac"] == "52:cc:cc:cc:cc:42"
    vm.configure("--port", "2000")
    assert vm.config["comment"] == {"of": ["mine"]}
    assert vm.config["mac"] == "52:cc:cc:cc:cc:42"


def test_the_few_keys_of_old_configurations_suffice(tm, world):
    vm = tm.vm("a").create()
    vm.write_config({"vmID": vm.id, "serverSocket": world.sock("net"), "memorySize": 1 << 28,
                     "mac": "52:cc:cc:cc:cc:42"})
    assert vm.status()["state"] == "stopped"
    assert vm.status()["mac"] == "52:cc:cc:cc:cc:42"


def test_the_directorys_name_wins_over_a_vmid_with_a_warning(tm):
    vm = tm.vm("a").create()
    vm.write_config(vm.config | {"vmID": "another"})
    done = tm.run("--format", "json", "configure", "--id", vm.id)
    assert json.loads(done.stdout)["vmID"] == vm.id
    assert "another" in done.stderr and done.stderr.startswith("tailmac: ")


def test_a_copied_directory_is_a_vm(tm):
    vm = tm.vm("a").create()
    copy = vm.copy_to("b")
    assert set(tm.ids()) == {vm.id, copy.id}
    copy.configure("--mac", "52:cc:cc:cc:cc:08")
    assert copy.config["mac"] == "52:cc:cc:cc:cc:08"
    assert vm.config["mac"] == "52:cc:cc:cc:cc:07"


def test_clone_copies_identity_and_content(tm):
    vm, copy = tm.vm("a").create("--port", "52345"), tm.vm("b")
    vm.write_config(vm.config | {"comment": "mine"})
    tm.run("clone", "--id", vm.id, "--target-id", copy.id)
    assert copy.config == vm.config | {"vmID": copy.id}
    assert (copy.dir / "Kernel").read_bytes() == (vm.dir / "Kernel").read_bytes()
    disk = copy.dir / "Disk.img"
    assert disk.stat().st_size == (vm.dir / "Disk.img").stat().st_size
    assert disk.stat().st_blocks <= (vm.dir / "Disk.img").stat().st_blocks + 64, "no longer sparse"
    vm.delete()
    assert tm.ids() == [copy.id]
    assert not vm.dir.exists()


def test_a_running_vm_is_not_changed_copied_or_removed(tm, server, vm):
    copy = tm.vm("b")
    before = vm.config
    vm.fail(5, "configure", "--mac", "52:cc:cc:cc:cc:09")
    vm.fail(5, "clone", "--target-id", copy.id)
    vm.fail(5, "delete")
    vm.fail(5, "run", "--headless")
    assert vm.config == before
    assert tm.ids() == [vm.id]
    assert vm.state == "running"
    server.ping("192.168.77.107")


@pytest.mark.parametrize("option, value", [
    ("--mac", "52:cc:cc:cc:cc"), ("--mac", "52:cc:cc:cc:cc:0g"), ("--mac", "53:cc:cc:cc:cc:01"),
    ("--mac", "00:00:00:00:00:00"), ("--mac", ""),
    ("--mem", "0"), ("--mem", "-1"), ("--mem", "lots"), ("--mem", "8X"),
    ("--mem", "99999999999999999999"),
    ("--port", "0"), ("--port", "-1"), ("--port", "99999999999"), ("--port", "ssh"),
    ("--sock", ""), ("--sock", "/tmp/" + "x" * 99), ("--sock", "relative.sock"),
])
def test_bad_values_are_refused_and_nothing_changes(tm, world, option, value):
    vm = tm.vm("a").create()
    before = listing(vm.dir)
    message = vm.fail(2, "configure", option, value)
    assert option in message
    assert listing(vm.dir) == before
    tm.fail(2, "create", "--id", tm.vm("b").id, "--image", world.image, option, value)
    assert tm.ids() == [vm.id]


@pytest.mark.parametrize("bad", ["", ".", "..", "../x", "a/b", "-a", "x" * 65, "a b", "ä"])
def test_bad_ids_are_refused(tm, world, bad):
    tm.fail(2, "create", f"--id={bad}", "--image", world.image)
    assert not list(world.bundle.iterdir())


def test_longest_socket_path_is_accepted(tm):
    longest = "/tmp/" + "x" * 98
    vm = tm.vm("a").create(sock=longest)
    assert len(longest) == 103 and vm.config["serverSocket"] == longest


@pytest.mark.parametrize("command", ["status", "configure", "run", "stop", "halt", "delete", "wait",
                                     "attach", "detach", "clone", "console"])
def test_no_such_vm(tm, command):
    more = ["--target-id", tm.vm("b").id] if command == "clone" else []
    tm.fail(3, command, "--id", tm.vm("none").id, *more)


def test_what_exists_is_not_overwritten(tm):
    a, b = tm.vm("a").create(), tm.vm("b").create()
    before = listing(a.dir)
    tm.fail(4, "create", "--id", a.id, "--image", tm.world.image)
    b.fail(4, "clone", "--target-id", a.id)
    assert listing(a.dir) == before


def test_wrong_usage(tm):
    for args in (["frobnicate"], ["create", "--frobnicate"], ["stop"], ["ls", "too", "many"],
                 ["--format", "xml", "ls"], ["wait", "--id", "a", "--for", "godot"]):
        tm.fail(2, *args)


def test_an_image_that_is_none_leaves_nothing(tm, world):
    whole = world.image.read_bytes()
    bad = {"cut": whole[:3_000_000], "damaged": whole[:1_000_000] + os.urandom(1_000_000), "empty": b"",
           "wrong": b"PK\3\4" + bytes(1000), "noise.tar.zst": b"no archive" * 100}
    for name, content in bad.items():
        (world.dir / name).write_bytes(content)
    for image in [world.dir / name for name in (*bad, "missing", ".")]:
        done = tm.run("create", "--id", tm.vm("a").id, "--image", image, check=False)
        assert done.returncode in (1, 2), done
        assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not list(world.bundle.iterdir())


def half_made(world):
    return [path for path in world.bundle.iterdir() if path.name.startswith(".")]


def grow_old(world):
    """A directory whose maker died before it could lock it counts as somebody's for a minute: let
    that minute pass."""
    for path in half_made(world):
        if not (path / "lock").exists():
            os.utime(path, (0, 0))


def test_an_interrupted_create_leaves_nothing(tm, world, big_image):
    vm = tm.vm("a")
    create = tm.spawn("create", "--id", vm.id, "--image", big_image)
    eventually(lambda: half_made(world) or create.child.poll() is not None, what="a hidden directory")
    create.interrupt()
    assert create.wait() in (0, 130)  # 0: it had finished
    assert not half_made(world)


def test_a_killed_create_is_never_seen_and_swept_up(tm, world, big_image, count, rng):
    vm, killed = tm.vm("a"), 0
    for _ in range(count(5, 100)):
        create = tm.spawn("create", "--id", vm.id, "--image", big_image)
        eventually(lambda c=create: half_made(world) or c.child.poll() is not None)
        create.ends_within(rng.uniform(0, 0.2))
        create.signal(signal.SIGKILL)
        if create.wait() == 0:
            vm.delete()
            continue
        killed += 1
        grow_old(world)
        if tm.ids() == []:
            vm.create()
        assert tm.ids() == [vm.id]
        assert not half_made(world)
        vm.delete()
    assert killed, "no create lived long enough to be killed"


def test_killed_clones_and_deletes_leave_whole_vms_only(tm, world, big_image, count, rng):
    vm, copy = tm.vm("a").create(image=big_image), tm.vm("b")
    whole = (vm.dir / "Disk.img").stat().st_size
    for n in range(count(6, 100)):
        command = ["clone", "--id", vm.id, "--target-id", copy.id]
        if copy.dir.exists():
            command = ["delete", "--id", copy.id]
        child = tm.spawn(*command)
        child.ends_within(rng.uniform(0, 0.15))
        child.signal(signal.SIGKILL)
        child.wait()
        assert tm.ids() in ([vm.id], [vm.id, copy.id]), f"round {n}"
        if copy.dir.exists():
            assert (copy.dir / "Disk.img").stat().st_size == whole
            assert copy.status()["state"] == "stopped"
    grow_old(world)
    tm.vm("c").create()  # whoever makes a VM sweeps
    assert not half_made(world)


def test_two_creates_of_one_id_make_one(tm, big_image):
    vm = tm.vm("a")
    both = [tm.spawn("create", "--id", vm.id, "--image", big_image) for _ in range(2)]
    codes = sorted(child.wait(COMMAND) for child in both)
    assert codes[0] == 0 and codes[1] in (4, 5), codes
    assert tm.ids() == [vm.id]


def test_a_full_disk_leaves_no_half_made_vm(confined):
    tm = confined("16m")
    tm.fail(8, "create", "--id", tm.vm("a").id, "--image", tm.world.image, timeout=SOON)
    assert tm.ids() == []
    assert not [path for path in tm.bundle.iterdir() if path.name.startswith(".")]
