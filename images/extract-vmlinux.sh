#!/bin/bash
# Unpacks the kernel proper from a distribution's image: images/extract-vmlinux.sh VMLINUZ OUT.
# x86: the ELF file inside a bzImage (Documentation/arch/x86/boot.rst), which QEMU boots through
# its PVH note without the decompressor; under emulation that takes a second off the boot.
# aarch64: the Image, which may be gzipped.
set -euo pipefail

in=$1 out=$2

number() { # OFFSET SIZE: little endian
    od -An -v -t "u$2" -j "$1" -N "$2" --endian=little "$in" | tr -d ' '
}

hex() { # FILE OFFSET COUNT
    od -An -v -t x1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

unpack() { # the decompressor that the first bytes ask for
    case $1 in
    1f8b*) gzip -dc ;;
    fd377a585a00*) xz --single-stream -dc ;;
    5d0000*) xz --format=lzma -dc ;;
    28b52ffd*) zstd -qdc ;;
    02214c18*) lz4 -qdc ;;
    *) echo "extract-vmlinux: $in: unknown compression" >&2 && return 1 ;;
    esac
}

if [ "$(hex "$in" 514 4)" = 48647253 ]; then # "HdrS"
    setup=$(number 497 1)
    offset=$((((setup ? setup : 4) + 1) * 512 + $(number 584 4)))
    length=$(number 588 4)
    magic=$(hex "$in" "$offset" 6)
    # All but gzip are followed by their unpacked size, which is no part of the stream.
    [ "${magic#1f8b}" != "$magic" ] || length=$((length - 4))
    head -c $((offset + length)) "$in" | tail -c +$((offset + 1)) | unpack "$magic" >"$out"
    [ "$(hex "$out" 0 4)" = 7f454c46 ] || { echo "extract-vmlinux: no ELF in $in" >&2; exit 1; }
elif [ "$(hex "$in" 0 2)" = 1f8b ]; then
    gzip -dc "$in" >"$out"
else
    cat "$in" >"$out"
fi
