# The core gives the same output, byte for byte and to the nanosecond, whoever compiled it.
top=$(dirname "$(dirname "$(dirname "$GOLDEN")")")
sources="$GOLDEN/digest.c $top/src/vnet/*.c $top/src/vnet/switch/*.c $top/src/vnet/ip/*.c
    $top/src/vnet/nat/*.c $top/src/vnet/services/*.c $top/src/base/err.c $top/src/base/hash.c
    $top/src/base/mem.c $top/src/base/os-linux.c $top/src/base/parse.c $top/src/base/text.c"
for cc in gcc clang; do
    for level in 0 2; do
        # shellcheck disable=SC2086 # names without blanks
        $cc -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O$level -I"$top/src" $sources \
            -o digest-$cc-$level -lxxhash -lm -lpthread || exit 1
        "./digest-$cc-$level" "$top"/tests/fuzz/corpus/vnet/* >digest.$cc.$level
        sed "s/^[0-9a-f]*/$cc -O$level: a digest/" digest.$cc.$level
    done
done
echo "different digests: $(sort -u digest.*.* | wc -l)"
