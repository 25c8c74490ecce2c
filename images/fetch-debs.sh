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

# apt-get has no way to print where a package went, and its file names hold escapes. It starts
# slowly, so it is asked for all at once.
download_all() { # PACKAGE…
    local uris name file size missing=() files=()
    uris=$(apt-get download --print-uris "${@/%/:$deb_arch}")
    for name; do
        read -r _ file size _ < <(grep -F "' ${name}_" <<<"$uris")
        [ "$(stat -c %s "$debs/$file" 2>/dev/null)" = "$size" ] || missing+=("$name:$deb_arch")
        files+=("$debs/$file")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        (cd "$debs" && apt-get -qq download "${missing[@]}" >&2)
    fi
    printf '%s\n' "${files[@]}"
}

# Others may want packages at the same time.
exec {lock}>"$cache/fetch-debs.lock"
flock "$lock"
write_config
update
names=()
for want; do
    name=$want
    [ "$name" = "${name%>*}" ] || name=$(dependency "${want%>*}" "${want#*>}")
    [ -n "$name" ] || { echo "fetch-debs: no package for $want" >&2; exit 1; }
    names+=("$name")
done
download_all "${names[@]}"
