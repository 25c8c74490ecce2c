#!/bin/sh
# Installs programs, man pages and shell completions:
#   install.sh BIN DIR
# tailmac starts the Host that lies beside it, so both go to the same place.
set -eu

cd "$(dirname "$0")/.."
bin=$1
to=$2

put() { # mode file path
    mkdir -p "$(dirname "$3")"
    install -m "$1" "$2" "$3"
    echo "$3"
}

completion() { # shell path
    if "$bin/tailmac" completion "$1" >"$scratch"; then
        put 644 "$scratch" "$2"
    fi
}

for program in tailmac Host vnet; do
    put 755 "$bin/$program" "$to/bin/$program"
done
for page in docs/man/*.[0-9]; do
    [ -e "$page" ] || continue
    name=${page##*/}
    put 644 "$page" "$to/share/man/man${name##*.}/$name"
done
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
completion bash "$to/share/bash-completion/completions/tailmac"
completion zsh "$to/share/zsh/site-functions/_tailmac"
completion fish "$to/share/fish/vendor_completions.d/tailmac.fish"
