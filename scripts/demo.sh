#!/bin/bash
# Shows what tailmac does, and checks it: two networks with routers and an internet between them, a
# VM on one, a network namespace on the other. They find and reach each other; the VM is saved, goes
# on, is cloned and forked; the network is killed and comes back under them. Exit code 1 when anything
# is not as it should be. Everything it makes, a bundle and sockets of its own included, is gone at
# the end. Prints the commands as a user would type them.
set -euo pipefail
export LC_ALL=C.UTF-8

cd "$(dirname "$0")/.."
bin=$(cd "${BIN:-bin}" && pwd)
case $(uname -m) in
arm64 | aarch64) arch=aarch64 ;;
*) arch=x86_64 ;;
esac
image=${BIN:-bin}/images/tiny-$arch.tar.zst
lab=docs/examples/two-networks.yaml # the checks below know what is in it

# A short path: a socket's may have 104 bytes.
dir=$(mktemp -d /tmp/tmdemo.XXXXXX)
export TAILMAC_HOME=$dir/bundle XDG_RUNTIME_DIR=$dir/run
mkdir -m 700 "$TAILMAC_HOME" "$XDG_RUNTIME_DIR"
PATH=$bin:$PATH
net=$dir/net.sock
capture=$dir/lab.pcapng
vm=demo-${dir##*.} # the NIC's socket is named after the VM, in /tmp, for all to see
twin=twin-${dir##*.}
mac=52:cc:cc:cc:cc:01       # the lab's node a, in the network home
other_mac=52:cc:cc:cc:cc:02 # b, in the office
patience=60                 # seconds; for a slow machine, everything waits for events
namespace=                  # the pid of one that is in it
left_out=
fork_macs=()

end() {
    local code=$? id
    trap - EXIT
    trap '' INT TERM HUP
    for id in $(tailmac ls -q 2>/dev/null); do
        tailmac halt "$id" >/dev/null || code=1
    done
    tailmac net down --listen "$net" >/dev/null || code=1
    for id in $(jobs -p); do
        kill "$id" 2>/dev/null || true
        wait "$id" 2>/dev/null || true
    done
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
    local word line='$'
    for word; do
        [[ $word != *[\ \|\<]* ]] || word="'$word'"
        line+=" $word"
    done
    echo "$line"
    "$@"
}

indent() {
    printf '%s\n' "$1" | sed 's/^/  /'
}

check() { # WHAT GOT WANTED
    [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
    printf '  checked: %s: %s\n' "$1" "$2"
}

# What a command answers, by a Python expression over the document d.
fact() { # EXPRESSION COMMAND...
    local expression=$1
    shift
    tailmac --format json "$@" | python3 -c 'import json, sys
d = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$expression"
}

address_of() {
    tailmac wait "$1" --for ip >/dev/null
    fact '[a.split("/")[0] for n in d["agent"]["nics"] for a in n["addresses"] if "." in a][0]' \
        status "$1"
}

# --- the network ---

net() { # COMMAND...: asks the demo's vnet
    show tailmac net "$@" --listen "$net"
}

net_fact() { # EXPRESSION COMMAND
    fact "$1" net "$2" --listen "$net"
}

# Prints what happens in the network, as it happens, up to an event like the pattern.
events_until() { # PATTERN
    local line
    while read -r -t $patience -u 3 line; do
        echo "  net | $line"
        # shellcheck disable=SC2053 # a pattern
        [[ $line != $1 ]] || return 0
    done
    fail "no event like '$1' within $patience s"
}

watch_events() {
    mkfifo "$dir/events"
    printf '$ %s &\n' "tailmac net events --listen $net --format table"
    tailmac -v net events --listen "$net" --format table >"$dir/events" 2>&1 &
    exec 3<"$dir/events"
    events_until 'tailmac: waiting for events'
}

# No VM may have sent a frame under another MAC than its own.
check_macs() { # MAC...: of those that run
    check 'the MACs that frames came from' "$(net_fact '" ".join(
        sorted(",".join(l["macs"]) for l in d["links"] if l["kind"] != "tap"))' links)" \
        "$(printf '%s\n' "$@" | sort | paste -s -d ' ')"
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
    indent "$answer"
}

check_guest_ping() { # ID HOST
    show_guest "$1" "ping -c 1 $2"
    [[ $answer == *'1 packets received'* ]] || fail "$1 does not reach $2"
}

# --- the namespace ---

# Says why there can be none here; nothing when there can.
why_no_namespace() {
    local program
    [ "$(uname -s)" = Linux ] || { echo 'there are none on this system' && return; }
    for program in unshare nsenter ip busybox ping; do
        command -v $program >/dev/null || { echo "there is no $program" && return; }
    done
    unshare -rn true 2>/dev/null || { echo 'unshare -rn is not permitted' && return; }
    unshare -rn sh -c ': <>/dev/net/tun' 2>/dev/null || echo '/dev/net/tun may not be opened'
}

# Held by a process that ends with its input, so with this script.
make_namespace() {
    printf '$ %s &\n' 'unshare -rn sleep infinity'
    coproc holder { exec unshare -rn sh -c 'echo $$; exec cat'; }
    # shellcheck disable=SC2154 # coproc sets it
    read -r -t $patience -u "${holder[0]}" namespace || fail 'no namespace'
}

plug_in_namespace() {
    local line
    mkfifo "$dir/plug"
    printf '$ %s &\n' "vnet plug --netns $namespace --mac $other_mac --tap c0 --listen $net"
    vnet plug --netns "$namespace" --mac $other_mac --tap c0 --listen "$net" >"$dir/plug" 2>&1 &
    exec 7<"$dir/plug"
    read -r -t $patience -u 7 line || fail 'vnet plug says nothing'
    check 'vnet plug' "$line" 'vnet: plugged c0 into office'
}

inside() { # COMMAND...: in the namespace
    show nsenter -t "$namespace" -U -n --preserve-credentials "$@"
}

# What udhcpc calls when it has a lease.
write_dhcp_script() {
    cat >"$dir/dhcp-script" <<'END'
#!/bin/sh
[ "$1" != bound ] || {
    ip address add "$ip/$mask" dev "$interface"
    ip route add default via "$router"
}
END
    chmod +x "$dir/dhcp-script"
}

# --- the story ---

start_network() {
    say 'A lab: two networks, what lies between them, and who will be there.'
    show cat "$lab"
    say 'Start it, with everything that passes written to a file.'
    net up "$lab" --capture "$capture"
    net status
    say 'What happens there is told to whoever asks; below it is shown as it comes.'
    watch_events
}

boot_a_vm() {
    say 'A VM out of an image, with the MAC of the lab'\''s node a. It returns when the guest is up.'
    show tailmac create "$vm" --image "$image" --mac $mac --sock "$net"
    show tailmac run "$vm" --headless --wait ready
    events_until "* lease *mac=$mac*"
    show tailmac wait "$vm" --for ip
    say 'All there is to know about it:'
    show tailmac status "$vm"
    address=$(address_of "$vm")
    check 'the MAC of its NIC' "$(fact 'd["nics"][0]["mac"]' status "$vm")" $mac
    check 'its address, as the lab has it' "$address" 192.168.1.101
    say 'Into the guest, by its serial console. The lab'\''s internet has a name and a host:'
    show_guest "$vm" 'nslookup example.test'
    [[ $answer == *5.0.0.1* ]] || fail 'the guest does not resolve example.test'
    check_guest_ping "$vm" example.test
}

plug_a_namespace_in() {
    local why
    why=$(why_no_namespace)
    if [ -n "$why" ]; then
        left_out="a network namespace as a node: $why"
        say "LEFT OUT: $left_out"
        return
    fi
    say 'On the other network a namespace, as a container has one; no root is needed for it.'
    make_namespace
    plug_in_namespace
    write_dhcp_script
    inside busybox udhcpc -i c0 -n -q -s "$dir/dhcp-script" 2>&1
    events_until "* lease *mac=$other_mac*"
    check 'its address, as the lab has it' \
        "$(net_fact '[l["address"] for l in d["leases"] if l["host"] == "b"][0]' leases)" 10.2.0.80
    say 'It reaches the internet, and the VM reaches it, by name, through a NAT and two routers.'
    inside ping -c 1 5.0.0.1
    check_guest_ping "$vm" b.office.internal
}

look_around() {
    say 'Who is there, under which MAC, how far away, with which address:'
    net links
    net leases
    check_macs $mac
    say 'What was dropped is counted, by its reason. There is no way to this address:'
    show_guest "$vm" 'ping -c 1 -W 1 9.9.9.9'
    net counters
    check 'frames without a way' \
        "$(net_fact '[p["drops"].get("no-route") for p in d["plugs"] if p["plug"] == 0][0]' counters)" 1
}

save_it() {
    say 'A file on the guest'\''s disk, how long it is up, and which boot this is.'
    show_guest "$vm" 'echo written before the stop >/data/note; cat /data/note'
    show_guest "$vm" 'cut -d" " -f1 /proc/uptime'
    uptime=$answer
    show_guest "$vm" 'cat /proc/sys/kernel/random/boot_id'
    boot=$answer
    say 'Stop it: its memory goes into the VM'\''s directory, nothing of it runs any more.'
    show tailmac stop "$vm"
    events_until "* unplug *-$vm.sock *"
    show tailmac ls
    check 'its state' "$(fact 'd["state"], d["saved"]' status "$vm")" "('stopped', True)"
}

check_same_boot() {
    show_guest "$vm" 'cut -d" " -f1 /proc/uptime'
    awk -v before="$uptime" -v now="$answer" 'BEGIN { exit !(now > before) }' ||
        fail "uptime went from $uptime to $answer"
    printf '  checked: uptime went on from %s to %s\n' "$uptime" "$answer"
    uptime=$answer
    show_guest "$vm" 'cat /proc/sys/kernel/random/boot_id'
    check 'the boot id, as before' "$answer" "$boot"
}

go_on() {
    say 'Run it again: it goes on where it was, and is on the network again.'
    show tailmac run "$vm" --headless --wait ready
    events_until "* plug *-$vm.sock"
    check_same_boot
    show_guest "$vm" 'cat /data/note'
    check 'the file' "$answer" 'written before the stop'
    check 'the address, as before' "$(address_of "$vm")" "$address"
    check_guest_ping "$vm" example.test
    check_macs $mac
}

clone_it() {
    say 'Save it once more and clone it, memory and all; the clone gets a MAC of its own.'
    show tailmac stop "$vm" --no-sync
    show tailmac clone "$vm" "$twin" --fresh-identity
    twin_mac=$(fact 'd["mac"]' status "$twin")
    [ "$twin_mac" != $mac ] || fail 'the clone has the MAC of its original'
    say 'Both run side by side, from the same moment of the past.'
    show tailmac run "$vm" --headless --wait ready
    show tailmac run "$twin" --headless --wait ready
    events_until "* lease *mac=$twin_mac*"
    show tailmac ls
    show tailmac ps
    show_guest "$twin" 'cat /proc/sys/kernel/random/boot_id /data/note'
    check 'the clone remembers' "$answer" "$boot"$'\n''written before the stop'
    check 'its MAC inside' "$(guest "$twin" 'cat /sys/class/net/eth0/address')" "$twin_mac"
    check_guest_ping "$twin" a.home.internal
    check_macs $mac "$twin_mac"
    printf '  the original has %s, the clone %s\n' "$(address_of "$vm")" "$(address_of "$twin")"
    say 'Away with the clone.'
    show tailmac halt "$twin"
    show tailmac delete "$twin"
}

fork_it() {
    local id addresses=()
    say 'Forks: throwaway copies of the saved moment, each with a name and a MAC of its own.'
    show tailmac stop "$vm" --no-sync
    show tailmac fork "$vm" --count 3 --wait ip
    for id in "$vm"-{1..3}; do
        addresses+=("$(address_of "$id")")
        fork_macs+=("$(fact 'd["nics"][0]["mac"]' status "$id")")
        show tailmac exec "$id" -- sh -c 'hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id'
        check 'its name inside' "$(tailmac exec "$id" -- hostname)" "$id"
        check 'the boot that it goes on with' \
            "$(tailmac exec "$id" -- cat /proc/sys/kernel/random/boot_id)" "$boot"
    done
    check 'how many addresses they have' "$(printf '%s\n' "${addresses[@]}" | sort -u | wc -l)" 3
    say 'A file goes in by the way that exec takes, too, and out again; no network is needed for either.'
    show tailmac cp "$lab" "$id:/tmp/lab.yaml"
    show tailmac cp "$id:/tmp/lab.yaml" "$dir/back.yaml"
    cmp "$lab" "$dir/back.yaml" || fail 'the file is another one'
    say 'They leave nothing behind, and the VM goes on from the same moment as if they had not been.'
    for id in "$vm"-{1..3}; do
        show tailmac halt "$id"
    done
    show tailmac ls
    show tailmac run "$vm" --headless --wait ready
    check_same_boot
}

kill_the_network() {
    local again="until ping -c 1 -W 1 example.test >/dev/null 2>&1; do :; done; echo there it is"
    say 'The network dies, and is started again. Nobody is restarted, everybody talks again.'
    show kill -9 "$(net_fact 'd["pid"]' status)"
    net up "$lab" --capture "$capture"
    show_guest "$vm" "$again"
    check 'the VM' "$answer" 'there it is'
    check_same_boot
    [ -z "$namespace" ] || inside ping -c 1 -w $patience -i 0.2 5.0.0.1
    net leases
    check 'the address, as before' \
        "$(net_fact '[l["address"] for l in d["leases"] if l["host"] == "a"][0]' leases)" "$address"
    check_macs $mac
}

end_network() {
    say 'The end of the network. The VM would find another one; it is saved and deleted, too.'
    net down
    show tailmac stop "$vm"
    show tailmac delete "$vm"
    show tailmac ls
    check 'VMs left' "$(tailmac ls -q)" ''
}

# A capture is a row of blocks: type, length, content. A section begins with one of its own type.
count_blocks() {
    python3 - "$capture" <<'END'
import struct, sys
data, at, types = open(sys.argv[1], "rb").read(), 0, []
while at < len(data):
    kind, size = struct.unpack_from("=II", data, at)
    types.append(kind)
    at += size
print(f"{at} bytes of {len(data)}, {types.count(0x0A0D0D0A)} sections, {types.count(6)} packets")
END
}

read_capture() {
    local blocks bytes
    say 'The capture: what the killed vnet wrote is whole, what came later is appended.'
    blocks=$(count_blocks)
    bytes=$(wc -c <"$capture")
    check 'its blocks' "${blocks%, *}" "$((bytes)) bytes of $((bytes)), 2 sections"
    printf '  it has %s\n' "${blocks##*, }"
    if command -v tshark >/dev/null; then
        read_with_tshark 2>"$dir/errors" || fail "tshark: $(cat "$dir/errors")"
    fi
}

read_with_tshark() {
    local said
    show tshark -r "$capture" -Y 'frame.comment' -T fields \
        -e frame.interface_name -e ip.src -e ip.dst -e frame.comment
    [ -z "$namespace" ] || show tshark -r "$capture" -Y 'icmp.type == 8 and ip.dst == 10.2.0.80' \
        -T fields -e frame.interface_name -e ip.src -e ip.dst -e ip.ttl
    # By numbers: tshark 4.0 names a later section's interfaces after the first section's.
    said=$(tshark -r "$capture" -Y 'frame.packet_flags_direction == 1' -T fields \
        -e frame.section_number -e frame.interface_id -e eth.src | sort -u)
    printf '  who sent anything, by section and interface:\n'
    indent "$said"
    check 'plugs with frames of two MACs' "$(cut -f1,2 <<<"$said" | uniq -d)" ''
    check 'MACs' "$(cut -f3 <<<"$said" | sort -u | paste -s -d ' ')" \
        "$(printf '%s\n' $mac "$twin_mac" "${fork_macs[@]}" ${namespace:+$other_mac} | sort | paste -s -d ' ')"
}

[ -x "$bin/tailmac" ] || fail "$bin/tailmac is missing: run make"
[ -e "$image" ] || fail "$image is missing: run make image"
printf '# All of this happens in %s; without TAILMAC_HOME VMs are in ~/VM.bundle.\n' "$dir"
printf '$ export TAILMAC_HOME=%s\n' "$TAILMAC_HOME"
start_network
boot_a_vm
plug_a_namespace_in
look_around
save_it
go_on
clone_it
fork_it
kill_the_network
end_network
read_capture
[ -z "$left_out" ] || printf '\ndemo: LEFT OUT %s\n' "$left_out"
printf '\ndemo: everything was as promised, in %s s\n' "$SECONDS"
