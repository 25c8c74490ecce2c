#!/bin/bash
# Prints the files of kernel modules and of all they depend on, in an order insmod can follow:
# images/module-order.sh KERNEL_DIR MODULE…  A module the kernel does not have is left out with a
# word on stderr: it is built in, or this architecture lacks it.
set -euo pipefail

dir=$1
shift
declare -A path visited

while IFS= read -r file; do
    name=$(basename "$file")
    name=${name%%.ko*}
    path[${name//-/_}]=$file
done < <(find "$dir" -name '*.ko' -o -name '*.ko.*' | sort)

visit() { # MODULE
    local name=${1//-/_} dep
    [ -z "${visited[$name]:-}" ] || return 0
    visited[$name]=1
    if [ -z "${path[$name]:-}" ]; then
        echo "module-order: no $name" >&2
        return 0
    fi
    for dep in $(modinfo -F depends "${path[$name]}" | tr , ' '); do
        visit "$dep"
    done
    for dep in $(modinfo -F softdep "${path[$name]}" | sed -n 's/.*pre: \([^:]*\).*/\1/p'); do
        case $dep in
        post) ;;
        *) visit "$dep" ;;
        esac
    done
    echo "${path[$name]}"
}

for module; do
    visit "$module"
done
