#!/bin/bash
# shellcheck disable=SC1091,SC2154 # parts.sh
# The Debian image: Debian 12 by mmdebstrap, with systemd, sshd and tools for networks, on an ext4
# disk, booted directly. Called by images/build.sh as tiny/build.sh is.
set -euo pipefail

arch=$1 work=$2
debian=$(cd "$(dirname "$0")" && pwd)
root=$work/root
. "$debian/../parts.sh"

# For the disk, and that the agent is heard soon; udev finds the rest.
early=(virtio_pci virtio_blk virtio_console virtio_net)

# What would wait, or do something by itself in the middle of a test; then what nothing here needs.
# Under emulation all of it together is a third of the boot.
masked=(systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer
    dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    systemd-logind.service systemd-pstore.service systemd-hwdb-update.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-binfmt.service
    getty@tty1.service modprobe@.service dev-hugepages.mount sys-kernel-debug.mount
    sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount)

# Debian's packages, installed, as a tar archive. It is kept: an agent changes more often.
kept=${TAILMAC_BUILD:-$images/../build}/debian-$arch
bootstrap() {
    local state
    state=$(cat "$debian/build.sh" "$debian/packages" | cksum)
    [ "$(cat "$kept.from" 2>/dev/null)" != "$state" ] || return 0
    rm -f "$kept.from"
    SOURCE_DATE_EPOCH=$date mmdebstrap --quiet --variant=minbase --architectures="$deb_arch" \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --include="$(cat "$debian/packages")" bookworm "$kept.tar" >&2
    echo "$state" >"$kept.from"
}

link() { # TARGET NAME, below /etc/systemd/system
    mkdir -p "$(dirname "$root/etc/systemd/system/$2")"
    ln -sf "$1" "$root/etc/systemd/system/$2"
}

configure() {
    local unit
    cp -r "$debian/root/." "$root/"
    rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
    : >"$root/etc/machine-id"
    ln -sf /run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
    link /lib/systemd/system/systemd-networkd.service \
        multi-user.target.wants/systemd-networkd.service
    for unit in "${masked[@]}"; do
        link /dev/null "$unit"
    done
}

add_kernel() {
    local modules
    modules=$(echo "$work"/kernel/lib/modules/*)
    mkdir -p "$root/lib/modules"
    cp -r "$modules" "$root/lib/modules/"
    depmod -b "$root" "$(basename "$modules")"
}

# Not in an archive: dpkg is to know the package, as if it had been installed there.
add_agent() {
    dpkg --root="$root" --force-not-root --force-architecture --log=/dev/null \
        -i "$("$images/agent/deb.sh" "$arch" "$work")" >&2
}

build_root() {
    mkdir -p "$root"
    tar -C "$root" --exclude='./dev/*' -xpf "$kept.tar"
    configure
    add_kernel
    add_agent
    find "$root" -newermt "@$date" -exec touch -h -d "@$date" {} +
    make_disk 4G root -d "$root"
}

build_initrd() {
    local initrd=$work/initrd
    mkdir -p "$initrd"/{bin,dev,etc,lib/modules,root}
    cp "$work/busybox/bin/busybox" "$initrd/bin/"
    cp "$debian/initrd/init" "$initrd/"
    add_modules "$initrd" early "${early[@]}"
    pack_initrd "$initrd"
}

# Files of many owners, without being root.
if [ "${3-}" = root ]; then
    date=$4
    build_root
    exit
fi
fetch_kernel
bootstrap
build_initrd
fakeroot "$0" "$arch" "$work" root "$date"
write_config $((512 << 20)) "$cmdline net.ifnames=0"
echo "$date"
