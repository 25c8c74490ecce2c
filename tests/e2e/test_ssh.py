"""`tailmac ssh` into a guest without any address, with keys that the agent takes care of."""
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import sshd
from lab.wait import BOOT


@pytest.fixture(scope="module")
def tar(request, tmp_path_factory):
    return sshd.archive(request.config.getoption("--arch"), tmp_path_factory.mktemp("sshd"))


@pytest.fixture
def guest(saved_vm, tar, world):
    """One that has sshd and its host key; nobody is at the other end of its NIC."""
    vm = saved_vm("a", serverSocket=world.sock("nobody"))
    vm.start()
    sshd.install(vm, tar)
    sshd.give_host_key(vm)
    return vm


def ssh(vm, *args, data=b"", **more):
    return subprocess.run(vm.tm.argv("ssh", vm.id, *args), input=data, capture_output=True,
                          env=vm.tm.world.env, timeout=BOOT, check=False, **more)


def authorised(vm, home="/root"):
    return vm.tm.run("exec", vm.id, "--", "cat", f"{home}/.ssh/authorized_keys").stdout.splitlines()


def test_a_command_is_the_guests_and_ends_with_it(guest):
    give_own_key(guest)
    done = ssh(guest, "--", "cat; echo no >&2; exit 42", data=bytes(range(256)) * 1000)
    assert (done.returncode, done.stdout, done.stderr) == (42, bytes(range(256)) * 1000, b"no\n")
    assert [line.split()[-1] for line in authorised(guest)] == ["me", "tailmac"]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda n: ssh(guest, "--user", "joe", "--", f"exit $(($(id -u) / 500 + {n}))"),
                             (1, 2)))
    assert [one.returncode for one in done] == [3, 4], [one.stderr for one in done]
    assert len(authorised(guest, "/home/joe")) == 1
    assert (guest.dir / "ssh_key").stat().st_mode & 0o777 == 0o600
    assert not list(guest.dir.glob(".ssh_key*"))
    child = subprocess.Popen(guest.tm.argv("ssh", guest.id, "--", "echo up; sleep 1000"),
                             env=guest.tm.world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.readline() == b"up\n"
    guest.halt()
    assert child.wait(BOOT) == 255
    child.communicate()


def give_own_key(vm):
    vm.tm.run("exec", vm.id, "--", "sh", "-c", "mkdir -p -m 700 /root/.ssh; "
              "echo 'ssh-ed25519 AAAA me' >/root/.ssh/authorized_keys")


def test_a_clone_has_keys_of_its_own_and_another_host_is_refused(guest, tm, world):
    assert ssh(guest, "--", "true").returncode == 0
    guest.stop()
    copy = tm.vm("b")
    tm.run("clone", guest.id, copy.id)
    assert not (copy.dir / "ssh_key").exists() and not (copy.dir / "known_hosts").exists()
    copy.start("--disconnected-nic")
    sshd.give_host_key(copy)
    config = world.dir / "config"
    config.write_text(tm.run("ssh", "--config", copy.id).stdout)
    done = subprocess.run(["ssh", "-F", config, copy.id, "exit 7"], env=world.env, timeout=BOOT,
                          capture_output=True, check=False)
    assert done.returncode == 7, done.stderr
    keys = authorised(copy)
    assert len(keys) == 1 and public_key(copy) in keys[0] and public_key(copy) != public_key(guest)
    # What is said to be sshd's host key is not the one that it has.
    tm.run("exec", copy.id, "--", "sh", "-c",
           "cd /etc/ssh; sed -i 's/AAAAI...../AAAAIAAAAA/' ssh_host_ed25519_key.pub")
    done = ssh(copy, "--", "true")
    assert done.returncode == 255 and b"erification failed" in done.stderr


def public_key(vm):
    done = subprocess.run(["ssh-keygen", "-y", "-f", vm.dir / "ssh_key"], capture_output=True, text=True,
                          check=True)
    return done.stdout.split()[1]


def test_what_is_missing_is_said(tm, vm, tar):
    assert vm.fail(1, "ssh") == (f"tailmac: cannot log in to VM '{vm.id}': there is no sshd in the "
                                 "guest")
    sshd.install(vm, tar)
    assert "no host keys yet" in vm.fail(7, "ssh", "--timeout", "3")
    sshd.give_host_key(vm)
    assert "nope" in vm.fail(1, "ssh", "--user", "nope")
    # Only ssh is missing, not ssh-keygen.
    place = tm.world.dir / "path"
    place.mkdir()
    os.symlink("/usr/bin/ssh-keygen", place / "ssh-keygen")
    done = subprocess.run(tm.argv("ssh", vm.id), env=tm.world.env | {"PATH": str(place)}, text=True,
                          capture_output=True, timeout=BOOT, check=False)
    assert (done.returncode, "cannot start ssh:" in done.stderr) == (8, True), done.stderr
    vm.halt()
    vm.fail(6, "ssh")
    tm.fail(3, "ssh", "none")
