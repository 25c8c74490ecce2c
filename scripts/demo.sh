#!/bin/bash
# Shows what tailmac does, and checks it: a VM is made, boots onto a network, is saved, goes on, is
# cloned; exit code 1 when anything is not as it should be. Everything it makes, a bundle and sockets
# of its own included, is gone at the end. Prints the commands as a user would type them.
set -euo pipefail
export LC_ALL=C.UTF-8

top=$(cd "$(dirname "$0")/.." && pwd)
bin=$top/${BIN:-bin}
case $(uname -m) in
arm64 | aarch64) arch=aarch64 ;;
*) arch=x86_64 ;;
esac
image=$bin/images/tiny-$arch.tar.zst

# A short path: a socket's may have 104 bytes.
dir=$(mktemp -d /tmp/tmdemo.XXXXXX)
export TAILMAC_HOME=$dir/bundle XDG_RUNTIME_DIR=$dir/run
mkdir -m 700 "$TAILMAC_HOME" "$XDG_RUNTIME_DIR"
PATH=$bin:$PATH
vm=demo-${dir##*.} # the NIC's socket is named after the VM, in /tmp, for all to see
twin=twin-${dir##*.}
mac=52:cc:cc:cc:cc:2a
macs=" $mac "
patience=60 # seconds; for a slow machine, everything waits for events
net_pid=

end() {
    local code=$? id
    trap - EXIT
    for id in $(tailmac ls -q 2>/dev/null); do
        tailmac halt "$id" >/dev/null || code=1
    done
    if [ -n "$net_pid" ]; then
        kill "$net_pid" 2>/dev/null || true
        wait "$net_pid" 2>/dev/null || true
    fi
    rm -rf "$dir"
    [ $code -eq 0 ] || printf '\ndemo: failed\n' >&2
    exit $code
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say() {
    printf '\n# %s\n' "$*"
}

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# Prints a command, then runs it.
show() {
    printf '$ %s\n' "$*"
    "$@"
}

check() { # WHAT GOT WANTED
    [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
    printf '  checked: %s: %s\n' "$1" "$2"
}

# What `status` says, by a Python expression over the document s.
fact() { # ID EXPRESSION
    tailmac --format json status "$1" | python3 -c 'import json, sys
s = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$2"
}

address_of() {
    tailmac wait "$1" --for ip >/dev/null
    fact "$1" '[a.split("/")[0] for n in s["agent"]["nics"] for a in n["addresses"] if "." in a][0]'
}

# --- the network ---

start_network() {
    mkfifo "$dir/frames"
    printf '$ %s &\n' "scripts/demo-net.py $dir/net.sock"
    "$top/scripts/demo-net.py" "$dir/net.sock" >"$dir/frames" &
    net_pid=$!
    exec 3<"$dir/frames"
    read -r -t $patience -u 3 line || fail 'the network does not start'
    echo "  net | $line"
}

# Prints the frames that arrive, up to one from MAC that matches; none may come from a stranger.
frames_until() { # MAC PATTERN
    local line clock source rest
    while read -r -t $patience -u 3 line; do
        echo "  net | $line"
        read -r clock source rest <<<"$line"
        [[ $macs == *" $source "* ]] || fail "$clock: a frame from $source, which is no VM's MAC"
        # shellcheck disable=SC2053 # a pattern
        [[ $source != "$1" || $rest != $2 ]] || return 0
    done
    fail "no frame from $1 like '$2' within $patience s"
}

# --- the guest's console ---

# Runs a command in the guest's shell, through `tailmac console`; prints what it says.
guest() { # ID COMMAND
    local mark=$RANDOM$RANDOM line pid
    rm -f "$dir/keys" "$dir/screen"
    mkfifo "$dir/keys" "$dir/screen"
    tailmac console "$1" <"$dir/keys" >"$dir/screen" &
    pid=$!
    exec 4>"$dir/keys" 5<"$dir/screen"
    echo >&4 # a prompt, should there be a shell already
    read_to 'tiny#' '#'
    # What is typed comes back as it was typed: the marks are put together only by the guest.
    printf "echo begin'-'%s; %s; echo end'-'%s\n" "$mark" "$2" "$mark" >&4
    read_to "begin-$mark" $'\n'
    while read -r -t $patience -u 5 line && line=${line%$'\r'} && [ "$line" != "end-$mark" ]; do
        echo "$line"
    done
    exec 4>&- # the end of its input ends `tailmac console`
    cat <&5 >/dev/null
    exec 5<&-
    wait "$pid"
}

read_to() { # TEXT ITS-LAST-BYTE
    local piece text=
    while read -r -t $patience -u 5 -d "$2" piece; do
        text=${piece%$'\r'}$2
        [[ $text != *"${1%"$2"}$2" ]] || return 0
    done
    fail "the guest's console does not show '$1'"
}

show_guest() { # ID COMMAND
    printf '$ tailmac console %s\n  tiny# %s\n' "$1" "$2"
    answer=$(guest "$1" "$2") || fail "the guest's console"
    # shellcheck disable=SC2001 # a prefix to every line
    sed 's/^/  /' <<<"$answer"
}

# --- the story ---

boot_a_vm() {
    say 'A VM out of an image; its network is a datagram socket, its MAC is our choice.'
    show tailmac create "$vm" --image "$image" --mac "$mac" --sock "$dir/net.sock"
    say 'Something that listens there: it prints the frames and answers ARP and DHCP.'
    start_network
    say 'Boot it. The command returns when the guest is up.'
    show tailmac run "$vm" --headless --wait ready
    say 'What the guest sends, as it arrives at the socket:'
    frames_until "$mac" '0x0800 DHCP REQUEST'
    show tailmac wait "$vm" --for ip
    say 'All there is to know about it:'
    show tailmac status "$vm"
    address=$(address_of "$vm")
    check 'the MAC of its NIC' "$(fact "$vm" 's["nics"][0]["mac"]')" "$mac"
}

leave_a_mark() {
    say 'Into the guest, by its serial console: a file on its disk, and how long it is up.'
    show_guest "$vm" 'echo written before the stop >/data/note; cat /data/note'
    show_guest "$vm" 'cut -d" " -f1 /proc/uptime'
    uptime=$answer
    show_guest "$vm" 'cat /proc/sys/kernel/random/boot_id'
    boot=$answer
}

save_it() {
    say 'Stop it: its memory goes into the VM'\''s directory, nothing of it runs any more.'
    show tailmac stop "$vm"
    show tailmac ls
    check 'its state' "$(fact "$vm" 's["state"], s["saved"]')" "('stopped', True)"
}

go_on() {
    say 'Run it again: it goes on where it was.'
    show tailmac run "$vm" --headless --wait ready
    show_guest "$vm" 'cut -d" " -f1 /proc/uptime'
    awk -v before="$uptime" -v now="$answer" 'BEGIN { exit !(now > before) }' ||
        fail "uptime went from $uptime to $answer"
    printf '  checked: uptime went on from %s to %s\n' "$uptime" "$answer"
    show_guest "$vm" 'cat /proc/sys/kernel/random/boot_id'
    check 'the boot id, as before' "$answer" "$boot"
    show_guest "$vm" 'cat /data/note'
    check 'the file' "$answer" 'written before the stop'
    check 'the address, as before' "$(address_of "$vm")" "$address"
    say 'And it is on the network again:'
    show_guest "$vm" 'ping -c 1 192.168.77.1 | grep packets'
    check 'the ping' "${answer%%, 0%*}" '1 packets transmitted, 1 packets received'
    frames_until "$mac" "0x0800 ICMP $address > 192.168.77.1 echo request"
}

clone_it() {
    local twin_mac
    say 'Save it once more and clone it, memory and all; the clone gets a MAC of its own.'
    show tailmac stop "$vm" --no-sync
    show tailmac clone "$vm" "$twin" --fresh-identity
    twin_mac=$(fact "$twin" 's["mac"]')
    [ "$twin_mac" != "$mac" ] || fail 'the clone has the MAC of its original'
    macs="$macs$twin_mac "
    say 'Both run side by side, from the same moment of the past.'
    show tailmac run "$vm" --headless --wait ready
    show tailmac run "$twin" --headless --wait ready
    frames_until "$twin_mac" '0x0800 DHCP REQUEST'
    show tailmac ls
    show tailmac ps
    show_guest "$twin" 'cat /proc/sys/kernel/random/boot_id /data/note'
    check 'the clone remembers' "$answer" "$boot"$'\n''written before the stop'
    check 'its MAC inside' "$(guest "$twin" 'cat /sys/class/net/eth0/address')" "$twin_mac"
    printf '  the original has %s, the clone %s\n' "$(address_of "$vm")" "$(address_of "$twin")"
}

clean_up() {
    say 'Away with the clone; the original is saved, then deleted, too.'
    show tailmac halt "$twin"
    show tailmac delete "$twin"
    show tailmac stop "$vm"
    show tailmac delete "$vm"
    show tailmac ls
    check 'VMs left' "$(tailmac ls -q)" ''
}

[ -x "$bin/tailmac" ] || fail "$bin/tailmac is missing: run make"
[ -e "$image" ] || fail "$image is missing: run make image"
printf '# All of this happens in %s; without TAILMAC_HOME VMs are in ~/VM.bundle.\n' "$dir"
printf '$ export TAILMAC_HOME=%s\n' "$TAILMAC_HOME"
boot_a_vm
leave_a_mark
save_it
go_on
clone_it
clean_up
printf '\ndemo: everything was as promised, in %s s\n' "$SECONDS"
