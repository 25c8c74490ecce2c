#!/bin/sh
# Builds guest images into a directory, those whose recipe, agent or tools have changed:
#   build-images.sh OUT [RECIPE [ARCH...]]    by default tiny for every architecture; another recipe
#                                             for this machine's
set -eu

cd "$(dirname "$0")/.."
out=$1
recipe=${2:-tiny}
shift $(($# < 2 ? $# : 2))
if [ $# -eq 0 ] && [ "$recipe" = tiny ]; then
    set -- x86_64 aarch64
elif [ $# -eq 0 ]; then
    set -- "$(uname -m)"
fi
mkdir -p "$out"
if command -v flock >/dev/null; then
    exec 9>"$out/.lock"
    flock 9
fi

# Everything an image is made from here, as one number.
state=$(find images/*.sh images/agent "images/$recipe" src/agent src/tree src/base -type f |
    LC_ALL=C sort | xargs cksum | cksum)
for arch; do
    image=$out/$recipe-$arch.tar.zst
    stamp=$out/.$recipe-$arch.from
    if [ ! -e "$image" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
        echo "images: building $image"
        rm -f "$stamp"
        images/build.sh "$recipe" "$arch" "$out"
        echo "$state" >"$stamp"
    fi
done
