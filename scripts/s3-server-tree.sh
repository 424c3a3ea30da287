#!/usr/bin/env bash
# s3-server-tree.sh DEST [SUITE]   a real S3 server (Ceph's RADOS Gateway, with the monitor and the store it needs) at DEST, unpacked from Debian packages.
# For tests on a Debian machine, as root; the tests start and stop it themselves. The machine itself gets no package of it, and apt's mirror is used,
# whatever it is. About 45 s and 600 MB. It is of a newer Debian than most machines: older gateways take conditional writes and ignore the condition
# (SUITE bookworm gives such a one, for the test of what is said of it).
set -euo pipefail

dest=$(realpath -m "${1:?usage: s3-server-tree.sh DEST [SUITE]}")
suite=${2:-forky}

main() {
  mkdir -p "$(dirname "$dest")"
  exec 9>"$dest.lock"
  flock 9 # two test runs may want the same tree
  if [ ! -x "$dest/usr/bin/radosgw" ]; then
    install_tools
    unpack "$dest.tmp"
    rm -rf "$dest"
    mv "$dest.tmp" "$dest"
  fi
}

install_tools() {
  command -v mmdebstrap >/dev/null && return
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends mmdebstrap >&2
}

# What apt is set to, in either of its two notations.
mirrors() {
  { grep -hE '^URIs:' /etc/apt/sources.list.d/*.sources | awk '{ print $2 }'
    grep -hE '^deb ' /etc/apt/sources.list /etc/apt/sources.list.d/*.list | grep -oE '(https?|file):[^ ]+'; } 2>/dev/null | grep -i debian | sort -u || true
}

unpack() {
  local archive key=/usr/share/keyrings/debian-archive-keyring.gpg
  archive=$(mirrors | grep -vi security | head -n 1)
  [ -n "$archive" ] || { echo "apt is set to no Debian mirror" >&2; exit 3; }
  rm -rf "$1"
  mmdebstrap --variant=minbase --include=radosgw,ceph-mon,ceph-osd,ceph-common \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$1" "deb [signed-by=$key] $archive $suite main" >"$dest.log" 2>&1 || { tail -n 5 "$dest.log" >&2; exit 3; }
  chmod -R a+rX "$1"
}

main
