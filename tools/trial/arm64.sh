#!/usr/bin/env bash
# The arm64 wheels for real, under qemu-user: installs offline into an arm64 Debian root and cuts out
# one photo there. Speed says nothing about a board; that it installs and computes does.
set -euo pipefail
shopt -s inherit_errexit

if [ $# -ne 2 ]; then
  echo "Usage: arm64_trial.sh DEBIAN_ARM64_ROOT WHEELS   (both are made if they are missing)" >&2
  exit 2
fi
readonly ROOT=$1 WHEELS=$2
SOURCE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
readonly SOURCE

skip() { echo "arm64 trial: SKIPPED: $*" && exit 0; }
[ "$(id -u)" = 0 ] || skip "needs root"
for program in debootstrap qemu-aarch64-static update-binfmts; do
  command -v $program >/dev/null || skip "needs $program"
done
[ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
update-binfmts --enable qemu-aarch64

if [ ! -e "$ROOT/etc/os-release" ] || [ -d "$ROOT/debootstrap" ]; then
  debootstrap --arch=arm64 --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$ROOT"
fi
if [ ! -d "$WHEELS" ]; then
  mkdir -p "$WHEELS"
  python3 -m pip wheel -q --no-deps -w "$WHEELS" "$SOURCE"
  platforms=()
  for tag in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${tag}_aarch64")
  done
  python3 -m pip download -q --only-binary=:all: --python-version 3.11 --implementation cp \
    "${platforms[@]}" -d "$WHEELS" "$(find "$WHEELS" -name 'edge_matting-*.whl')[cpu]"
fi

rm -rf "$ROOT/wheels" "$ROOT/opt/edge-matting" "$ROOT/tmp/out"
cp -a "$WHEELS" "$ROOT/wheels"
mountpoint -q "$ROOT/proc" || mount -t proc proc "$ROOT/proc"
trap 'umount "$ROOT/proc"' EXIT
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot "$ROOT" "$@"; }
# The venv and the package; there is no systemd in a chroot that users or units could be made for.
inside python3 -m venv /opt/edge-matting
inside sh -c '/opt/edge-matting/bin/pip install -q --no-index --find-links /wheels edge-matting[cpu]'
inside /opt/edge-matting/bin/python -c 'import platform; print("arm64 trial:", platform.machine())'
inside sh -c '/opt/edge-matting/bin/edge-matting process -o /tmp/out \
  /opt/edge-matting/lib/python3*/site-packages/edge_matting/data/photos/astronaut.jpg'
[ -s "$ROOT/tmp/out/astronaut.png" ] && [ -s "$ROOT/tmp/out/astronaut.json" ]
echo "arm64 trial: HELD a photo was cut out: $(sha256sum <"$ROOT/tmp/out/astronaut.png")"
