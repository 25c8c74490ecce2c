"""Debian's sshd for the tiny guest, which has none: its packages' files, unpacked over the root."""
import secrets
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
DEB_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
PACKAGES = """openssh-server libaudit1 libc6 libcap-ng0 libcap2 libcom-err2 libcrypt1 libgcrypt20
    libgpg-error0 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblz4-1
    liblzma5 libnsl2 libpam0g libpcre2-8-0 libselinux1 libssl3 libsystemd0 libtirpc3 libwrap0 libzstd1
    zlib1g""".split()


def archive(arch, place):
    """A tar file; everything but sshd and its libraries is left out."""
    root = place / "root"
    fetched = subprocess.run([REPOSITORY / "images" / "fetch-debs.sh", DEB_ARCH[arch], *PACKAGES],
                             capture_output=True, text=True, check=True)
    for deb in fetched.stdout.split():
        subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
    (root / "etc" / "ssh").mkdir(parents=True, exist_ok=True)
    (root / "etc" / "ssh" / "sshd_config").write_text("UsePAM no\n")
    parts = [part for part in ("lib", "lib64", "usr/lib", "usr/sbin/sshd", "etc/ssh") if (root / part).exists()]
    subprocess.run(["tar", "-C", root, "--owner=0", "--group=0", "--exclude=gconv", "-cf", place / "sshd.tar", *parts], check=True)
    return place / "sshd.tar"


def install(vm, tar):
    """Into a guest that runs; without host keys."""
    argv = vm.tm.argv("exec", vm.id, "--", "tar", "-xf", "-", "-C", "/")
    with tar.open("rb") as data:
        subprocess.run(argv, stdin=data, env=vm.tm.world.env, check=True, timeout=120)
    vm.tm.run("exec", vm.id, "--", "sh", "-c", "echo sshd:x:100:100::/run/sshd:/bin/false >>/etc/passwd;"
              "echo joe:x:1000:1000::/home/joe:/bin/sh >>/etc/passwd; mkdir -p /home/joe;"
              "chown 1000:1000 /home/joe")


def give_host_key(vm):
    """As its first boot would."""
    key = vm.tm.world.dir / f"host-key-{secrets.token_hex(4)}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    for name, text in (("key", key.read_text()), ("key.pub", key.with_suffix(".pub").read_text())):
        vm.tm.run("exec", vm.id, "--", "sh", "-c", "umask 077; echo \"$1\" >/etc/ssh/ssh_host_ed25519_"
                  + name, "sh", text)
