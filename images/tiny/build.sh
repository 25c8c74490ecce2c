#!/bin/bash
# The tiny image: Debian's cloud kernel, busybox and the agent, all in an initramfs, and an empty
# data disk. Called by images/build.sh: tiny/build.sh ARCH WORKDIR fills WORKDIR/vm and prints
# the date its files shall bear.
set -euo pipefail

arch=$1 work=$2
tiny=$(cd "$(dirname "$0")" && pwd)
images=$(dirname "$tiny")
root=$work/root

# What the agent needs comes first: the sooner it answers, the sooner the VM counts as up.
early=(virtio_pci virtio_console virtio_net)
late=(virtio_blk virtio_rng pvpanic_pci vmw_vsock_virtio_transport button evdev)

case $arch in
x86_64)
    deb_arch=amd64
    # Not tsc=reliable: on a busy host an emulated guest measures its TSC wrong by a factor of
    # up to 14, and only the watchdog which that would switch off finds out.
    cmdline="console=ttyS0 quiet no_timer_check mitigations=off cryptomgr.notests"
    ;;
aarch64)
    deb_arch=arm64
    cmdline="console=ttyAMA0 quiet mitigations=off cryptomgr.notests"
    ;;
esac

fetch() {
    local kernel busybox
    { read -r kernel && read -r busybox; } < <("$images/fetch-debs.sh" "$deb_arch" \
        "linux-image-cloud-$deb_arch>linux-image-*" busybox-static)
    dpkg-deb -x "$kernel" "$work/kernel"
    dpkg-deb -x "$busybox" "$work/busybox"
    # An own busybox tells the names of its applets; the target's may not run here.
    dpkg-deb -x "$("$images/fetch-debs.sh" "$(dpkg --print-architecture)" busybox-static)" \
        "$work/native"
}

add_modules() { # LIST MODULE…
    local list=$1 file to
    shift
    "$images/module-order.sh" "$work/kernel" "$@" | while read -r file; do
        to=$(basename "$file")
        to=/lib/modules/${to%%.ko*}.ko
        [ ! -e "$root$to" ] || continue
        case $file in
        *.xz) xz -dc "$file" >"$root$to" ;;
        *.zst) zstd -qdc "$file" >"$root$to" ;;
        *) cp "$file" "$root$to" ;;
        esac
        echo "$to" >>"$root/etc/modules.$list"
    done
}

add_busybox() {
    local applet
    cp "$work"/busybox/bin/busybox "$root/bin/"
    for applet in $("$work/native/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s /bin/busybox "$root/bin/$applet"
    done
}

build_agent() {
    local version src="$images"/../src
    version=$(git -C "$images" describe --always 2>/dev/null || echo 0)
    "${CC_FOR_GUEST:-$arch-linux-gnu-gcc}" -std=gnu17 -D_GNU_SOURCE -O2 -static -s \
        -ffunction-sections -Wl,--gc-sections -I"$src" -DAGENT_VERSION="\"$version\"" \
        "$src"/agent/*.c "$src"/tree/*.c "$src"/base/{err,file,mem,os-linux,spawn,text}.c \
        -o "$root/sbin/tailmac-agent"
}

build_root() {
    mkdir -p "$root"/{bin,sbin,etc,lib/modules,proc,sys,dev,run,tmp,data,root}
    add_busybox
    cp -r "$tiny/root/." "$root/"
    chmod 755 "$root/init" "$root"/sbin/* "$root/etc/acpi/PWRF/00000080"
    add_modules early "${early[@]}"
    add_modules late "${late[@]}"
    build_agent
}

pack_root() {
    find "$root" -exec touch -h -d "@$date" {} +
    (cd "$root" && find . | LC_ALL=C sort |
        cpio -o -H newc -R 0:0 --reproducible --quiet) >"$work/vm/Initrd"
}

# Made without mounting; the same packages give the same bytes.
make_disk() {
    local id=7461696c-6d61-6363-8000-74696e790000
    truncate -s 1G "$work/vm/Disk.img"
    E2FSPROGS_FAKE_TIME=$date mke2fs -q -F -t ext4 -L data -U "$id" -O ^metadata_csum_seed \
        -E "hash_seed=$id,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0" \
        -J size=8 -m 0 "$work/vm/Disk.img"
    fallocate -d "$work/vm/Disk.img"
}

write_config() {
    cat >"$work/vm/config.json" <<END
{
  "arch": "$arch",
  "memorySize": 268435456,
  "cpus": 1,
  "cmdline": "$cmdline",
  "diskFormat": "raw",
  "kernel": "Kernel",
  "initrd": "Initrd"
}
END
}

fetch
date=${SOURCE_DATE_EPOCH:-$(stat -c %Y "$work"/kernel/boot/vmlinuz-*)}
build_root
pack_root
"$images/extract-vmlinux.sh" "$work"/kernel/boot/vmlinuz-* "$work/vm/Kernel"
make_disk
write_config
echo "$date"
