#!/usr/bin/env bash
# postgres-tree.sh MAJOR DEST   a private PostgreSQL with all client tools and contrib at DEST/pgbin, unpacked from Debian packages.
# For tests on a Debian machine, as root. The host's own PostgreSQL is not touched, and apt's mirror is used, whatever it is. About 20 s and 230 MB.
# The tree works only at the path it was made for: every program in it names its own loader and libraries there, of its own Debian release.
set -euo pipefail

major=${1:?usage: postgres-tree.sh MAJOR DEST} dest=$(realpath -m "${2:?usage: postgres-tree.sh MAJOR DEST}")
case $major in
13) suite=bullseye ;;
15) suite=bookworm ;;
17) suite=trixie ;;
18) suite=forky ;;
*) echo "no Debian release has PostgreSQL $major (13, 15, 17 and 18 can be had)" >&2; exit 2 ;;
esac
triplet=$(uname -m)-linux-gnu

main() {
  mkdir -p "$(dirname "$dest")"
  exec 9>"$dest.lock"
  flock 9 # two test runs may want the same tree
  if [ ! -x "$dest/pgbin/postgres" ]; then
    install_tools
    unpack "$dest.tmp"
    rm -rf "$dest"
    mv "$dest.tmp" "$dest"
    bind_programs
    ln -sfn "usr/lib/postgresql/$major/bin" "$dest/pgbin" # last: its presence says that the tree is complete
  fi
  "$dest/pgbin/postgres" --version
}

install_tools() {
  command -v mmdebstrap >/dev/null && command -v patchelf >/dev/null && return
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends mmdebstrap patchelf >&2
}

# What apt is set to, in either of its two notations.
mirrors() {
  { grep -hE '^URIs:' /etc/apt/sources.list.d/*.sources | awk '{ print $2 }'
    grep -hE '^deb ' /etc/apt/sources.list /etc/apt/sources.list.d/*.list | grep -oE '(https?|file):[^ ]+'; } 2>/dev/null | grep -i debian | sort -u || true
}

unpack() {
  local archive security key=/usr/share/keyrings/debian-archive-keyring.gpg
  archive=$(mirrors | grep -vi security | head -n 1) security=$(mirrors | grep -i security | head -n 1 || true)
  [ -n "$archive" ] || { echo "apt is set to no Debian mirror" >&2; exit 3; }
  local sources=("deb [signed-by=$key] $archive $suite main")
  case $suite in bullseye | bookworm | trixie) [ -z "$security" ] || sources+=("deb [signed-by=$key] $security $suite-security main") ;; esac
  rm -rf "$1"
  # No documentation, and no LLVM: it is larger than all the rest, and tests run without JIT.
  mmdebstrap --variant=extract --include="postgresql-$major,postgresql-client-$major,libc6,libc-bin" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=*llvmjit*' --dpkgopt='path-exclude=*/libLLVM*' \
    "$suite" "$1" "${sources[@]}" >"$dest.log" 2>&1 || { tail -n 5 "$dest.log" >&2; exit 3; }
}

bind_programs() {
  local loader target program
  loader=$(find "$dest/usr/lib/$triplet" "$dest/lib/$triplet" -maxdepth 1 \( -name 'ld-linux-*.so.*' -o -name 'ld-2.*.so' \) 2>/dev/null | head -n 1) || true # in some releases one of the two folders is missing
  [ -n "$loader" ] || { echo "no dynamic loader in $dest" >&2; exit 3; }
  # A link to an absolute path would leave the tree: follow it inside.
  if [ -L "$loader" ]; then target=$(readlink "$loader"); case $target in /*) loader=$dest$target ;; esac; fi
  for program in "$dest/usr/lib/postgresql/$major/bin"/*; do
    [ -L "$program" ] || ! head -c 4 "$program" | grep -q ELF ||
      patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$dest/usr/lib/$triplet:$dest/lib/$triplet" "$program"
  done
  chmod -R a+rX "$dest" # PostgreSQL does not run as root
}

main
