#!/usr/bin/env bash
# Builds edge-matting_VERSION_ARCH.deb: the installer with its wheelhouse, for the Python of this
# machine. The package makes its virtual environment when it is configured, without a network.
set -euo pipefail
shopt -s inherit_errexit

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "Usage: make_deb.sh OUTPUT_DIR [WHEELHOUSE]   (without a wheelhouse one is downloaded)" >&2
  exit 2
fi
mkdir -p "$1"
OUTPUT=$(cd "$1" && pwd)
SOURCE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
readonly OUTPUT SOURCE WHEELHOUSE=${2:-}
readonly NAME=edge-matting
# Whoever gives the package away is its maintainer.
readonly MAINTAINER="${DEBFULLNAME:-edge_matting maintainers} <${DEBEMAIL:-maintainers@edge-matting.example}>"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
readonly TREE=$WORK/tree LIB=$WORK/tree/usr/lib/$NAME

VERSION=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$SOURCE/edge_matting/__init__.py")
ARCH=$(dpkg --print-architecture)
MINOR=$(python3 -c 'import sys; print(sys.version_info.minor)')

# -- what it holds -----------------------------------------------------------------------

mkdir -p "$LIB/wheels" "$LIB/tools" "$LIB/docs" "$LIB/config" "$TREE/DEBIAN" "$TREE/usr/bin"
if [ -n "$WHEELHOUSE" ]; then
  cp "$WHEELHOUSE"/*.whl "$LIB/wheels/"
else
  "$SOURCE/tools/install.sh" wheelhouse "$LIB/wheels"
fi
cp -a "$SOURCE/systemd" "$LIB/"
cp -a "$SOURCE/tools/install.sh" "$SOURCE/tools/unit_dropins.py" "$LIB/tools/"
cp -aL "$SOURCE/config/edge-matting.yaml" "$LIB/config/"
cp -a "$SOURCE/docs/operations.md" "$LIB/docs/"
install -D -m 644 "$SOURCE/systemd/$NAME.service" "$TREE/usr/lib/systemd/system/$NAME.service"
install -D -m 644 "$SOURCE/systemd/$NAME.sysusers" "$TREE/usr/lib/sysusers.d/$NAME.conf"
install -D -m 644 "$SOURCE/systemd/$NAME.tmpfiles" "$TREE/usr/lib/tmpfiles.d/$NAME.conf"
cat >"$TREE/usr/bin/$NAME" <<'WRAPPER'
#!/bin/sh
exec /opt/edge-matting/current/bin/edge-matting "$@"
WRAPPER
mkdir -p "$TREE/usr/share/doc/$NAME"
cat >"$TREE/usr/share/doc/$NAME/copyright" <<'COPYRIGHT'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: edge_matting

Files: *
Copyright: 2026 the edge_matting maintainers
License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
 The wheels in /usr/lib/edge-matting/wheels carry their own licences.
COPYRIGHT
printf '%s (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n -- %s  %s\n' \
  $NAME "$VERSION" "$MAINTAINER" "$(date -R)" |
  gzip -9n >"$TREE/usr/share/doc/$NAME/changelog.gz"

# -- what dpkg does with it --------------------------------------------------------------

cat >"$TREE/DEBIAN/control" <<CONTROL
Package: $NAME
Version: $VERSION
Architecture: $ARCH
Maintainer: $MAINTAINER
Section: graphics
Priority: optional
Installed-Size: $(du -sk "$TREE/usr" | cut -f 1)
Depends: python3 (>= 3.$MINOR), python3 (<< 3.$((MINOR + 1))), python3-venv, systemd
Description: offline image matting appliance
 Photos dropped into a folder come back as clean cut-outs with a straight alpha
 channel. Runs as a supervised systemd service, needs no network, loses nothing
 at a power cut, and shows what it does on a local status page.
CONTROL
cat >"$TREE/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  start=
  [ -d /run/systemd/system ] || start=--no-start
  # An upgrade lets the queue empty first; what is left waits for the new version.
  /usr/lib/edge-matting/tools/install.sh install --offline /usr/lib/edge-matting/wheels $start
fi
POSTINST
cat >"$TREE/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ]; then
  /usr/lib/edge-matting/tools/install.sh uninstall
fi
PRERM
cat >"$TREE/DEBIAN/postrm" <<'POSTRM'
#!/bin/sh
set -e
# Photos and results stay, even now.
if [ "$1" = purge ]; then
  rm -rf /var/lib/edge-matting /etc/edge-matting
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
POSTRM
find "$TREE" -type d -exec chmod 755 {} +
find "$TREE" -type f -exec chmod 644 {} +
chmod 755 "$TREE/usr/bin/$NAME" "$LIB/tools/install.sh" "$TREE"/DEBIAN/p*
(cd "$TREE" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$TREE/DEBIAN/md5sums"
# The wheels are compressed already.
dpkg-deb --root-owner-group -Zgzip -z1 --build "$TREE" "$OUTPUT/${NAME}_${VERSION}_$ARCH.deb"
