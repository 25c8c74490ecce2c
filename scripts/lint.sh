#!/bin/sh
# Checks the sources with every tool there is, one TAP line each; what a tool says comes before its
# line when it fails. Needs a build directory for the compile commands. From the environment: BUILD,
# JOBS.
set -u

cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
count=0
failed=0
c_files=$(find src tests images -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
shell_files=$(find scripts tests images .ci -type f \( -name '*.sh' -o -name run \) 2>/dev/null |
    while read -r file; do
        head -n 1 "$file" | grep -Eq '^#!.*[/ ](ba|da)?sh' && echo "$file"
    done)
mkdir -p "$build"

check() { # name command...
    name=$1
    shift
    count=$((count + 1))
    if output=$("$@" 2>&1); then
        echo "ok $count - $name${output:+: $(echo "$output" | tail -n 1)}"
    else
        failed=1
        echo "$output"
        echo "not ok $count - $name"
    fi
}

skip() { # name reason
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

# The layout differs between versions of clang-format: only one of them has a say.
clang_format() {
    for tool in clang-format-14 clang-format; do
        if "$tool" --version 2>/dev/null | grep -q 'version 14\.'; then
            echo "$tool"
            return
        fi
    done
}

# Says which files it would change.
# shellcheck disable=SC2086,SC2317 # file names here have no blanks
clang_format_all() { # tool
    wrong=$("$1" --dry-run $c_files 2>&1 |
        sed -n 's/^\([^: ]*\):.*clang-format-violations.*/\1/p' | uniq)
    [ -n "$wrong" ] || return 0
    echo "to be laid out by $1 -i:"
    echo "$wrong"
    return 1
}

# Suppressed: what it does not know of the cleanup attribute and of structs that a callee fills
# (the sanitizers and clang-tidy look for those). sys/queue.h, whose macros declare structs, by its
# full name.
# shellcheck disable=SC2046,SC2317
cppcheck_all() {
    queue=$(echo '#include <sys/queue.h>' | ${CC:-cc} -E -M -xc - | tr ' ' '\n' |
        grep '/sys/queue\.h$')
    mkdir -p "$build/cppcheck"
    cppcheck -q -j "$jobs" --cppcheck-build-dir="$build/cppcheck" --error-exitcode=1 \
        --enable=warning,performance,portability --inline-suppr --std=c11 \
        --suppress=resourceLeak --suppress=memleak --suppress=ctuuninitvar \
        --include="$queue" -Isrc \
        $(echo "$c_files" | grep '\.c$' | grep -v -e '-darwin\.c$')
}

# shellcheck disable=SC2046,SC2086 # file names here have no blanks
run_all() {
    if format=$(clang_format) && [ -n "$format" ]; then
        check clang-format clang_format_all "$format"
    else
        skip clang-format 'needs version 14'
    fi
    if command -v cppcheck >/dev/null; then
        check cppcheck cppcheck_all
    else
        skip cppcheck 'not installed'
    fi
    if command -v clang-tidy >/dev/null; then
        check clang-tidy scripts/run-clang-tidy.py "$build" "$jobs"
    else
        skip clang-tidy 'not installed'
    fi
    check function-lengths scripts/check-functions.py
    check imports scripts/check-imports.py
    if command -v shellcheck >/dev/null; then
        check shellcheck shellcheck $shell_files
    else
        skip shellcheck 'not installed'
    fi
}

run_all
echo "1..$count"
exit $failed
