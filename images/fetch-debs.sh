#!/bin/bash
# Downloads Debian packages of any architecture: images/fetch-debs.sh DEB_ARCH PACKAGE…
# prints the file of each. PACKAGE may be "META>PATTERN": the package that META depends on and
# whose name matches PATTERN (linux-image-cloud-amd64>linux-image-*: the newest kernel).
#
# Uses the system's package sources and keys, but a configuration, state and cache of its own
# under build/: no root needed, and a foreign architecture is not added to the system.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${TAILMAC_BUILD:-$here/../build}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
debs=$cache/debs
apt=$cache/apt

deb_arch=$1
shift

write_config() {
    mkdir -p "$debs" "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    cat >"$apt/conf" <<END
APT::Architecture "$(dpkg --print-architecture)";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
    export APT_CONFIG=$apt/conf
}

# Once a day is enough for lists.
update() {
    [ -z "$(find "$apt/updated" -mmin -1440 2>/dev/null)" ] || return 0
    apt-get -qq update >&2
    touch "$apt/updated"
}

dependency() { # META PATTERN
    local kind name
    apt-cache depends --important "$1:$deb_arch" | while read -r kind name; do
        # shellcheck disable=SC2254
        case $kind${name%%:*} in
        Depends:$2) echo "${name%%:*}" && break ;;
        esac
    done
}

# apt-get has no way to print where a package went, and its file names hold escapes.
download() { # PACKAGE
    local file size
    read -r _ file size _ < <(apt-get download --print-uris "$1:$deb_arch")
    if [ "$(stat -c %s "$debs/$file" 2>/dev/null)" != "$size" ]; then
        (cd "$debs" && apt-get -qq download "$1:$deb_arch" >&2)
    fi
    echo "$debs/$file"
}

write_config
update
for want; do
    name=$want
    [ "$name" = "${name%>*}" ] || name=$(dependency "${want%>*}" "${want#*>}")
    [ -n "$name" ] || { echo "fetch-debs: no package for $want" >&2; exit 1; }
    download "$name"
done
