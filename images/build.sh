#!/bin/bash
# Builds a restore image: images/build.sh RECIPE ARCH OUTDIR makes OUTDIR/RECIPE-ARCH.tar.zst.
# Runs as root or as anybody; changes nothing outside OUTDIR and the package cache.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)

usage() {
    echo "usage: images/build.sh RECIPE x86_64|aarch64 OUTDIR" >&2
    echo "recipes: $(cd "$here" && echo */build.sh | sed 's,/build.sh,,g')" >&2
    exit 2
}

if [ $# -ne 3 ] || [ ! -f "$here/$1/build.sh" ]; then
    usage
fi
case $2 in
x86_64 | aarch64) ;;
*) usage ;;
esac

mkdir -p "$3"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$(cd "$3" && pwd)/$1-$2.tar.zst

# The recipe leaves a VM directory in $work/vm and prints the date its files are to bear.
mkdir "$work/vm"
date=$("$here/$1/build.sh" "$2" "$work")

# -S: Disk.img is mostly holes. The names stand at the top of the archive.
tar -S --mtime="@$date" --owner=0 --group=0 --numeric-owner --mode=u=rw,go=r \
    -C "$work/vm" -cf "$work/tar" config.json Kernel Initrd Disk.img
zstd -q -f -T0 -10 "$work/tar" -o "$out.part"
mv "$out.part" "$out"
echo "$out"
