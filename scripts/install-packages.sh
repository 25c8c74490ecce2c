#!/bin/sh
# Installs what building, running and testing need, when it is missing: Debian and Ubuntu by apt,
# macOS by Homebrew. Says what it installs. Changes nothing when everything is there.
#   install-packages.sh [--list]
set -eu

apt_packages() {
    cat <<'END'
# the build
gcc libc6-dev make meson ninja-build pkg-config
# libraries: event loop, JSON, options, archives, digests, YAML, TCP/IP, system call filters
libevent-dev libjansson-dev libpopt-dev libarchive-dev libxxhash-dev libyaml-dev
libslirp-dev libglib2.0-dev libseccomp-dev
# running guests: the engines, qemu-img, firmware for arm64
qemu-system-x86 qemu-system-arm qemu-utils qemu-efi-aarch64 ovmf
# guest images: unpacking Debian packages, cpio and zstd archives, ext4, kernel modules, arm64 agent
dpkg-dev cpio zstd e2fsprogs kmod gcc-aarch64-linux-gnu libc6-dev-arm64-cross
# the Debian guest image: bootstrapping, also by a plain user, and files of many owners
mmdebstrap uidmap fakechroot fakeroot
# logging in to guests: tailmac ssh
openssh-client
# unit tests, sanitizers (llvm: names in their reports) and fuzzing
libcmocka-dev clang libclang-rt-dev llvm
# lint
clang-format clang-tidy cppcheck shellcheck git
# checks of man pages and completions
mandoc zsh fish
# end-to-end tests
python3 python3-pytest python3-pytest-xdist util-linux iproute2 procps strace tshark
# what guests speak to vnet's routers with: DHCP clients (none starts by itself; kea-admin has
# perfdhcp), DNS, neighbour discovery, paths
busybox-static isc-dhcp-client dhcpcd-base kea-admin nmap bind9-dnsutils
ndisc6 traceroute iputils-ping iputils-tracepath
# the bench: what vnet is measured beside, instructions
vde-switch valgrind
END
}

brew_packages() {
    cat <<'END'
# the build
meson ninja pkg-config
# libraries
libevent jansson popt libarchive xxhash libyaml libslirp
# running guests
qemu
# guest images
cpio zstd e2fsprogs dpkg
# tests and lint
cmocka llvm clang-format cppcheck shellcheck pytest wireshark
END
}

names() {
    "$1" | sed '/^#/d' | tr ' ' '\n'
}

missing_apt() {
    names apt_packages | while read -r name; do
        case $(dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null) in
        *installed*) ;;
        *) echo "$name" ;;
        esac
    done
}

# Names that this release does not have are left out, with a word: they differ between releases.
offered() {
    for name; do
        if apt-cache policy "$name" 2>/dev/null | grep -q 'Candidate: [^(]'; then
            echo "$name"
        else
            echo "packages: this release has no $name" >&2
        fi
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "packages: neither root nor sudo; ask for: $*" >&2
        return 1
    fi
}

install_apt() {
    # shellcheck disable=SC2046 # names are words
    set -- $(missing_apt)
    [ $# -gt 0 ] || return 0
    echo "packages: missing: $*"
    as_root apt-get -o DPkg::Lock::Timeout=300 update -qq
    # shellcheck disable=SC2046
    set -- $(offered "$@")
    [ $# -gt 0 ] || return 0
    echo "packages: installing: $*"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" </dev/null
}

install_brew() {
    # shellcheck disable=SC2046
    set -- $(names brew_packages | while read -r name; do
        brew list --versions "$name" >/dev/null 2>&1 || echo "$name"
    done)
    [ $# -gt 0 ] || return 0
    echo "brew install $*"
    brew install "$@" </dev/null
}

if [ "${1-}" = --list ]; then
    apt_packages
    echo
    echo '# macOS, by Homebrew:'
    brew_packages
elif command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    install_apt
elif command -v brew >/dev/null; then
    install_brew
else
    echo "packages: neither apt-get nor brew here; needed are packages such as these:" >&2
    apt_packages >&2
    echo "packages: make PACKAGES=skip ... goes on without" >&2
    exit 1
fi
