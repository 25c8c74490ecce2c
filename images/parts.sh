#!/bin/bash
# shellcheck disable=SC2034,SC2154 # set for, and by, who sources it
# What recipes share, to be sourced with $arch and $work set: names of the architecture, Debian's
# cloud kernel, its modules, an initramfs.

images=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
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

# Into $work/kernel and $work/busybox. It also sets $date, which files of the image are to bear.
fetch_kernel() {
    local kernel busybox
    { read -r kernel && read -r busybox; } < <("$images/fetch-debs.sh" "$deb_arch" \
        "linux-image-cloud-$deb_arch>linux-image-*" busybox-static)
    dpkg-deb -x "$kernel" "$work/kernel"
    dpkg-deb -x "$busybox" "$work/busybox"
    date=${SOURCE_DATE_EPOCH:-$(stat -c %Y "$work"/kernel/boot/vmlinuz-*)}
    "$images/extract-vmlinux.sh" "$work"/kernel/boot/vmlinuz-* "$work/vm/Kernel"
}

# Copies modules, unpacked, and names them in ROOT/etc/modules.LIST in an order insmod can follow.
add_modules() { # ROOT LIST MODULE…
    local root=$1 list=$2 file to
    shift 2
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

pack_initrd() { # ROOT
    find "$1" -exec touch -h -d "@$date" {} +
    (cd "$1" && find . | LC_ALL=C sort |
        cpio -o -H newc -R 0:0 --reproducible --quiet) >"$work/vm/Initrd"
}

# Made without mounting; the same files give the same bytes.
make_disk() { # SIZE LABEL OPTION-OF-MKE2FS…
    local id=7461696c-6d61-6363-8000-74696e790000 size=$1 label=$2
    shift 2
    truncate -s "$size" "$work/vm/Disk.img"
    E2FSPROGS_FAKE_TIME=$date mke2fs -q -F -t ext4 -L "$label" -U "$id" -O ^metadata_csum_seed \
        -E "hash_seed=$id,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0" \
        -m 0 "$@" "$work/vm/Disk.img"
    fallocate -d "$work/vm/Disk.img"
}

write_config() { # MEMORY-SIZE CMDLINE
    cat >"$work/vm/config.json" <<END
{
  "arch": "$arch",
  "memorySize": $1,
  "cpus": 1,
  "cmdline": "$2",
  "diskFormat": "raw",
  "kernel": "Kernel",
  "initrd": "Initrd"
}
END
}
