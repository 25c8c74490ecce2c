#!/bin/sh
# Builds the guest images into a directory, those whose recipe, agent or tools have changed:
#   build-images.sh OUT
set -eu

cd "$(dirname "$0")/.."
out=$1
[ -e images/build.sh ] || {
    echo "images: no images/build.sh yet" >&2
    exit 0
}
mkdir -p "$out"
if command -v flock >/dev/null; then
    exec 9>"$out/.lock"
    flock 9
fi

# Everything an image is made from here, as one number.
state=$(find images src/agent src/tree src/base -type f ! -name '*.pyc' | LC_ALL=C sort | xargs cksum | cksum)
for arch in x86_64 aarch64; do
    image=$out/tiny-$arch.tar.zst
    stamp=$out/.tiny-$arch.from
    if [ ! -e "$image" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
        echo "images: building $image"
        rm -f "$stamp"
        images/build.sh tiny "$arch" "$out"
        echo "$state" >"$stamp"
    fi
done
