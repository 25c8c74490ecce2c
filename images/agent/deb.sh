#!/bin/sh
# Makes a Debian package of the guest's agent and its unit:
#   images/agent/deb.sh x86_64|aarch64 OUTDIR   prints OUTDIR/tailmac-agent_VERSION_DEBARCH.deb
set -eu

here=$(cd "$(dirname "$0")" && pwd)
case $1 in
x86_64) deb_arch=amd64 ;;
aarch64) deb_arch=arm64 ;;
*) echo "deb.sh: x86_64 or aarch64, not '$1'" >&2 && exit 2 ;;
esac
changed=$(git -C "$here" log -1 --format=%ct 2>/dev/null || echo 0)
version=0.$(date -u -d "@$changed" +%Y%m%d.%H%M)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$changed}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/tailmac-agent
units=$root/lib/systemd/system
mkdir -p "$root/DEBIAN" "$root/usr/sbin" "$units/multi-user.target.wants"
"$here/compile.sh" "$1" "$root/usr/sbin/tailmac-agent"
cp "$here/tailmac-agent.service" "$units/"
ln -s ../tailmac-agent.service "$units/multi-user.target.wants/"
chmod -R u=rwX,go=rX "$root"
cat >"$root/DEBIAN/control" <<END
Package: tailmac-agent
Version: $version
Architecture: $deb_arch
Maintainer: tailmac
Section: admin
Priority: optional
Description: agent of tailmac for virtual machines
 Tells the host about this guest, and does there what the host asks for.
END
dpkg-deb --root-owner-group -b "$root" "$2/tailmac-agent_${version}_$deb_arch.deb" >&2
echo "$2/tailmac-agent_${version}_$deb_arch.deb"
