#!/bin/sh
# Brings a Meson build directory up to date, and copies the programs elsewhere when they changed:
#   build.sh BUILD [BIN] [-- MESON-OPTION...]
# Several people may do so in one checkout: one builds, the others wait.
set -eu

cd "$(dirname "$0")/.."
build=$1
bin=
[ "${2---}" = -- ] || bin=$2
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
[ $# -eq 0 ] || shift

mkdir -p "$build"
if command -v flock >/dev/null; then
    exec 9>"$build/.lock"
    flock 9
fi

quietly() { # prints the output only when the command fails
    "$@" >"$build/.log" 2>&1 9>&- || {
        cat "$build/.log" >&2
        return 1
    }
}

# Set up once, and anew when it is asked for with other options.
options="${CC-} $*"
if [ ! -e "$build/build.ninja" ]; then
    quietly meson setup "$build" "$@"
    echo "$options" >"$build/.options"
elif [ "$(cat "$build/.options" 2>/dev/null)" != "$options" ]; then
    quietly meson setup --wipe "$build" "$@"
    echo "$options" >"$build/.options"
fi
quietly ninja -C "$build" build.ninja # what Meson says is of no interest when it works
status=0
ninja --quiet -k 0 -C "$build" >"$build/.log" 2>&1 9>&- || status=$?
if [ $status -ne 0 ] || grep -q 'warning:' "$build/.log"; then
    grep -v '^\(cc\|gcc\|clang\) -' "$build/.log" >&2 || : # the command lines say little
fi
[ $status -eq 0 ] || exit $status

[ -n "$bin" ] || exit 0
mkdir -p "$bin"
for program in tailmac Host vnet; do
    if [ -e "$build/$program" ] && ! cmp -s "$build/$program" "$bin/$program"; then
        cp "$build/$program" "$bin/.$program.new"
        mv -f "$bin/.$program.new" "$bin/$program" # whoever runs the old one keeps it
    fi
done
