#!/bin/sh
# Compiles the guest's agent, static: images/agent/compile.sh x86_64|aarch64 OUT. $CC_FOR_GUEST
# names another compiler.
set -eu

src=$(cd "$(dirname "$0")/../../src" && pwd)
version=$(git -C "$src" describe --always 2>/dev/null || echo 0)
base=$src/base
exec "${CC_FOR_GUEST:-$1-linux-gnu-gcc}" -std=gnu17 -D_GNU_SOURCE -O2 -static -s \
    -ffunction-sections -Wl,--gc-sections -I"$src" -DAGENT_VERSION="\"$version\"" \
    "$src"/agent/*.c "$src"/tree/*.c "$base/err.c" "$base/file.c" "$base/mem.c" \
    "$base/os-linux.c" "$base/spawn.c" "$base/text.c" -o "$2"
