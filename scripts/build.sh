#!/bin/sh
# Builds into a meson directory, and copies the programs into another when they have changed:
#   build.sh BUILD [BIN] [-- MESON-OPTION...]
# Several people may do so in one checkout: only one builds at a time.
set -eu

build=$1
shift
bin=
if [ $# -gt 0 ] && [ "$1" != -- ]; then
    bin=$1
    shift
fi
[ $# -eq 0 ] || shift
mkdir -p "$build"
if command -v flock >/dev/null && [ -z "${BUILD_LOCKED-}" ]; then
    BUILD_LOCKED=1 exec flock "$build/.lock" "$0" "$build" ${bin:+"$bin"} -- "$@"
fi
unset BUILD_LOCKED

quietly() { # prints the output only when the command fails
    "$@" >"$build/.log" 2>&1 || {
        cat "$build/.log" >&2
        return 1
    }
}

[ -e "$build/build.ninja" ] || quietly meson setup "$build" "$@"
ninja --quiet -C "$build"
[ -n "$bin" ] || exit 0
mkdir -p "$bin"
for program in tailmac Host; do
    [ -e "$build/$program" ] || continue
    if ! cmp -s "$build/$program" "$bin/$program"; then
        cp "$build/$program" "$bin/.$program.new"
        mv -f "$bin/.$program.new" "$bin/$program"
    fi
done
