#!/bin/bash
# shellcheck disable=SC1091,SC2154 # parts.sh
# The tiny image: Debian's cloud kernel, busybox and the agent, all in an initramfs, and an empty
# data disk. Called by images/build.sh: tiny/build.sh ARCH WORKDIR fills WORKDIR/vm and prints
# the date its files shall bear.
set -euo pipefail

arch=$1 work=$2
tiny=$(cd "$(dirname "$0")" && pwd)
root=$work/root
. "$tiny/../parts.sh"

# What the agent needs comes first: the sooner it answers, the sooner the VM counts as up.
early=(virtio_pci virtio_console virtio_net)
late=(virtio_blk virtio_rng pvpanic_pci vmw_vsock_virtio_transport button evdev)

add_busybox() {
    local native=$work/native applet
    # An own busybox tells the names of its applets; the target's may not run here.
    dpkg-deb -x "$("$images/fetch-debs.sh" "$(dpkg --print-architecture)" busybox-static)" "$native"
    cp "$work"/busybox/bin/busybox "$root/bin/"
    for applet in $("$native/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s /bin/busybox "$root/bin/$applet"
    done
}

build_root() {
    mkdir -p "$root"/{bin,sbin,etc,lib/modules,proc,sys,dev,run,tmp,data,root}
    add_busybox
    cp -r "$tiny/root/." "$root/"
    chmod 755 "$root/init" "$root"/sbin/* "$root/etc/acpi/PWRF/00000080"
    add_modules "$root" early "${early[@]}"
    add_modules "$root" late "${late[@]}"
    "$images/agent/compile.sh" "$arch" "$root/sbin/tailmac-agent"
}

fetch_kernel
build_root
pack_initrd "$root"
make_disk 1G data -J size=8
write_config $((256 << 20)) "$cmdline"
echo "$date"
