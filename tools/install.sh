#!/usr/bin/env bash
# Installs, upgrades and removes the appliance as a systemd service. See docs/operations.md.
set -euo pipefail
shopt -s inherit_errexit

usage() {
  cat <<'TEXT'
Usage: install.sh install [OPTION...]   install, or upgrade what is installed; can be repeated
       install.sh dropins               renew the drop-ins after a change of folders, host or token
       install.sh uninstall [--purge]   remove the program; --purge also ledger, models and config.
                                        Photos and results are never removed
       install.sh wheelhouse DIR        download all that `install --offline DIR` needs on a machine
                                        with this Python and architecture

Options of install:
  --offline DIR     take every package from DIR; no network is used
  --extra NAME      cpu, gpu (x86-64 with an NVIDIA card) or torch; default: by the device found
  --runtime FILE    a wheel of onnxruntime for this machine, such as NVIDIA's for a Jetson
  --python PROGRAM  default: python3
  --drain SECONDS   how long an upgrade waits for the queue to empty before it stops the old
                    version; what is left stays queued for the new one (default 60)
  --no-start        install only
  --no-sample       do not make a first cut-out from the built-in photo
TEXT
}

readonly PREFIX=/opt/edge-matting
readonly CURRENT=$PREFIX/current
readonly ADMIN=$PREFIX/admin
readonly CONFIG=/etc/edge-matting/edge-matting.yaml
readonly STATE=/var/lib/edge-matting
readonly UNITS=/etc/systemd/system
readonly UNIT=edge-matting.service
readonly PACKAGED_UNIT=/usr/lib/systemd/system/$UNIT # where the .deb has brought the unit along
readonly NEEDED_MB=1200
readonly READY_SECONDS=120
SOURCE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
readonly SOURCE
WORK=
UNFINISHED='' # a version that was not adopted

say() { printf 'edge-matting: %s\n' "$*"; }
warn() { printf 'edge-matting: warning: %s\n' "$*" >&2; }
fail() {
  printf 'edge-matting: %s\n' "$*" >&2
  exit 1
}
clean_up() {
  [ -z "$WORK" ] || rm -rf "$WORK"
  [ -z "$UNFINISHED" ] || rm -rf "$UNFINISHED"
}
trap clean_up EXIT

systemd_runs() { [ -d /run/systemd/system ]; }
service_runs() { systemd_runs && systemctl --quiet is-active $UNIT; }

# -- the machine -------------------------------------------------------------------------

check_machine() {
  [ "$(id -u)" = 0 ] || fail "must run as root: sudo $0 $COMMAND"
  systemd_runs || [ "$START" = no ] || fail "systemd does not run here; --no-start installs only"
  case $(uname -m) in
    x86_64 | aarch64) ;;
    *) fail "$(uname -m) is not supported: there are no wheels of onnxruntime for it" ;;
  esac
  if grep -qs '^# R3[0-5] ' /etc/nv_tegra_release; then
    fail "this Jetson runs JetPack 5 or older; its Python 3.8 is not supported. Flash JetPack 6 or 7"
  fi
  check_python
  local free
  mkdir -p $PREFIX
  free=$(($(stat -f -c '%a * %S' $PREFIX) / 1048576))
  [ "$free" -ge $NEEDED_MB ] || fail "$PREFIX has $free MB free; $NEEDED_MB MB are needed"
}

check_python() {
  if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ -z "$OFFLINE" ] && command -v apt-get >/dev/null; then
      say "installing python3-venv with apt-get"
      apt-get install -y -q --no-install-recommends python3-venv >/dev/null
    fi
    "$PYTHON" -c 'import ensurepip, venv' || fail "$PYTHON needs its venv: apt install python3-venv"
  fi
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$("$PYTHON" -V) is too old; Python 3.10 or newer is needed (--python)"
}

kind_of_device() {
  if [ -e /etc/nv_tegra_release ] || grep -qs nvidia,tegra /sys/firmware/devicetree/base/compatible; then
    echo jetson
  elif [ -e /proc/driver/nvidia/version ] || [ -e /dev/nvidiactl ]; then
    echo nvidia
  else
    echo cpu
  fi
}

choose_extra() {
  local kind
  kind=$(kind_of_device)
  [ -z "$RUNTIME" ] || return 0
  if [ -z "$EXTRA" ]; then
    case $kind-$(uname -m) in
      nvidia-x86_64) EXTRA=gpu ;;
      *) EXTRA=cpu ;;
    esac
  fi
  if [ "$kind" = jetson ] && [ "$EXTRA" = cpu ]; then
    warn "no GPU runtime for this Jetson: NVIDIA's onnxruntime wheel is not on PyPI. Give it with" \
      "--runtime FILE (docs/operations.md says which); the CPU is used for now"
  fi
  say "a $kind box: extra '$EXTRA'"
}

# -- the program -------------------------------------------------------------------------

pip_install() {
  local into=$1
  shift
  local from=()
  [ -z "$OFFLINE" ] || from=(--isolated --no-index --find-links "$OFFLINE")
  "$into/bin/python" -m pip install -q --disable-pip-version-check --no-cache-dir \
    ${from[@]+"${from[@]}"} "$@"
}

# What to install: the wheel in the wheelhouse, else one built from a copy of this source tree,
# for a build leaves its traces where it is made.
requirement() {
  local wheel
  wheel=$(newest_wheel "${OFFLINE:-}")
  if [ -z "$wheel" ]; then
    [ -e "$SOURCE/setup.py" ] || fail "no edge_matting wheel in '$OFFLINE' and no source here"
    copy_source "$WORK/source"
    wheel=$WORK/source
  fi
  echo "$wheel${EXTRA:+[$EXTRA]}"
}

newest_wheel() {
  [ ! -d "$1" ] || find "$1" -maxdepth 1 -name 'edge_matting-*.whl' | sort -V | tail -n 1
}

copy_source() {
  mkdir -p "$1"
  (cd "$SOURCE" && cp -aL setup.py pyproject.toml README.md LICENSE edge_matting "$1")
}

make_version() {
  local new=$1 what
  say "making $new"
  "$PYTHON" -m venv "$new"
  # Command substitution would swallow the failure if it stood among the arguments.
  what=$(requirement)
  pip_install "$new" "$what"
  [ -z "$RUNTIME" ] || pip_install "$new" --no-deps "$RUNTIME"
  "$new/bin/python" -m compileall -q "$new/lib" >/dev/null || true # a speed-up of starts, no more
}

# The new version must read the present configuration and cut out a photo before the old one goes.
try_version() {
  local new=$1 tried=$WORK/tried sample
  if [ -e $CONFIG ]; then
    "$new/bin/edge-matting" check-config -c $CONFIG >/dev/null ||
      fail "the new version does not accept $CONFIG; nothing was changed"
  fi
  sample=$(sample_photo "$new")
  printf 'state_dir: state\n' >"$WORK/try.yaml"
  "$new/bin/edge-matting" process -c "$WORK/try.yaml" "$sample" -o "$tried" >/dev/null ||
    fail "the new version cannot cut out a photo on this machine; nothing was changed"
}

sample_photo() {
  "$1/bin/python" -c 'import edge_matting, pathlib as p
print(p.Path(edge_matting.__file__).parent / "data/photos/astronaut.jpg")'
}

# -- upgrade -----------------------------------------------------------------------------

# Photos waiting or in work; nothing when the appliance does not answer.
waiting() {
  "$CURRENT/bin/edge-matting" status -c $CONFIG --json 2>/dev/null | "$PYTHON" -c '
import json, sys
counts = json.load(sys.stdin)["queue"]["counts"]
print(counts["pending"] + counts["running"])' 2>/dev/null || true
}

drain() {
  local until=$((SECONDS + DRAIN)) left
  left=$(waiting)
  while [ -n "$left" ] && [ "$left" -gt 0 ] && [ $SECONDS -lt $until ]; do
    sleep 1
    left=$(waiting)
  done
  say "upgrade: ${left:-?} photos in the queue; what is left waits for the new version"
}

# The newer version may change the ledger's form; the old one gets its own back if the new one fails.
keep_ledger() {
  rm -f "$STATE"/before-upgrade-*
  local file
  for file in "$STATE"/ledger.sqlite*; do
    [ ! -e "$file" ] || cp -a "$file" "$STATE/before-upgrade-${file##*/}"
  done
}

go_back() {
  local old=$1 file
  systemctl stop $UNIT || true
  ln -sfn "$old" $CURRENT.new && mv -T $CURRENT.new $CURRENT
  rm -f "$STATE"/ledger.sqlite*
  for file in "$STATE"/before-upgrade-*; do
    [ ! -e "$file" ] || mv "$file" "$STATE/${file##*/before-upgrade-}"
  done
  systemctl reset-failed $UNIT || true
  systemctl start $UNIT || warn "the former version does not start either: journalctl -u $UNIT"
}

# -- user, folders, configuration, unit --------------------------------------------------

install_files() {
  if [ "$SOURCE" != $ADMIN ]; then
    rm -rf $ADMIN
    mkdir -p $ADMIN/tools $ADMIN/docs $ADMIN/config
    cp -a "$SOURCE/systemd" $ADMIN/
    cp -a "$SOURCE/tools/install.sh" "$SOURCE/tools/unit_dropins.py" $ADMIN/tools/
    cp -aL "$SOURCE/config/edge-matting.yaml" $ADMIN/config/
    [ ! -e "$SOURCE/docs/operations.md" ] || cp -a "$SOURCE/docs/operations.md" $ADMIN/docs/
    chown -R root:root $ADMIN
    chmod -R u=rwX,go=rX $ADMIN
  fi
  if [ ! -e $PACKAGED_UNIT ]; then
    install -D -m 644 "$SOURCE/systemd/$UNIT" $UNITS/$UNIT
    install -D -m 644 "$SOURCE/systemd/edge-matting.sysusers" /usr/lib/sysusers.d/edge-matting.conf
    install -D -m 644 "$SOURCE/systemd/edge-matting.tmpfiles" /usr/lib/tmpfiles.d/edge-matting.conf
    ln -sfn $CURRENT/bin/edge-matting /usr/local/bin/edge-matting
  fi
  systemd-sysusers edge-matting.conf
  systemd-tmpfiles --create edge-matting.conf
  if [ ! -e $CONFIG ]; then
    install -D -m 644 "$SOURCE/config/edge-matting.yaml" $CONFIG
    say "configuration: $CONFIG"
  fi
}

write_dropins() {
  "$CURRENT/bin/python" $ADMIN/tools/unit_dropins.py --config $CONFIG --into $UNITS/$UNIT.d
  systemd_runs || return 0
  systemctl daemon-reload
}

welcome_user() {
  local user=${SUDO_USER:-root}
  [ "$user" != root ] || return 0
  usermod -a -G edge-matting-drop "$user"
  say "$user may drop photos (group edge-matting-drop, from the next login)"
}

# -- start -------------------------------------------------------------------------------

start_service() {
  say "starting; the first start may take a while"
  systemctl --quiet enable $UNIT
  systemctl reset-failed $UNIT 2>/dev/null || true
  systemctl restart $UNIT
}

wait_ready() {
  local until=$((SECONDS + READY_SECONDS))
  until "$CURRENT/bin/edge-matting" status -c $CONFIG >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ]; then
      warn "it runs and is not ready:"
      "$CURRENT/bin/edge-matting" status -c $CONFIG || true
      return 0
    fi
    sleep 1
  done
  say "ready"
}

readonly DROP_SAMPLE='
import sys
from pathlib import Path

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.pipeline.self_test import sample_bytes

AnchoredFolder(Path(sys.argv[1])).write("astronaut.jpg", sample_bytes(), replace=False)
'

# The proof that all of it works: a photo dropped as a user would drop it.
first_cutout() {
  local inbox=/srv/edge-matting/in result=/srv/edge-matting/out/astronaut.png until=$((SECONDS + 120))
  if [ ! -d $inbox ] || ! grep -qs 'path: /srv/edge-matting$' $CONFIG; then return 0; fi
  # As the service's user and through its own door: root writes nothing into a folder that others
  # may write, for a link may have been planted there.
  if ! runuser -u edge-matting -- "$CURRENT/bin/python" -I -c "$DROP_SAMPLE" $inbox; then
    warn "the built-in photo could not be put into $inbox"
    return 0
  fi
  until [ -e $result ]; do
    if [ $SECONDS -ge $until ]; then
      warn "no $result after two minutes: edge-matting doctor"
      return 0
    fi
    sleep 0.5
  done
  say "the first cut-out: $result"
}

# -- commands ----------------------------------------------------------------------------

install_all() {
  local old new
  check_machine
  choose_extra
  old=$(readlink -f $CURRENT || true)
  [ -d "$old" ] || old=
  new=$PREFIX/versions/$(date -u +%Y%m%d-%H%M%S)-$$
  mkdir -p $PREFIX/versions
  UNFINISHED=$new
  make_version "$new"
  try_version "$new"
  if [ -n "$old" ] && service_runs; then
    drain
    systemctl stop $UNIT
  fi
  [ -z "$old" ] || keep_ledger
  ln -sfn "$new" $CURRENT.new && mv -T $CURRENT.new $CURRENT
  UNFINISHED=''
  install_files
  write_dropins
  welcome_user
  if [ "$START" = yes ]; then
    if ! start_service; then
      systemctl --no-pager --lines=20 status $UNIT >&2 || true
      [ -n "$old" ] || fail "it does not start; see above, or: edge-matting doctor"
      go_back "$old"
      UNFINISHED=$new
      fail "the new version does not start; the former one is back in place"
    fi
    wait_ready
    if [ -z "$old" ] && [ "$SAMPLE" = yes ]; then first_cutout; fi
  fi
  forget_versions "$new" "$old"
  say "$("$CURRENT/bin/edge-matting" --version) installed. Drop photos into the hot folders of $CONFIG"
}

# The version before this one stays, for a way back by hand.
forget_versions() {
  local version
  for version in "$PREFIX"/versions/*; do
    if [ "$version" != "$1" ] && [ "$version" != "$2" ]; then rm -rf "$version"; fi
  done
}

uninstall() {
  [ "$(id -u)" = 0 ] || fail "must run as root: sudo $0 $COMMAND"
  if systemd_runs; then systemctl --quiet disable --now $UNIT 2>/dev/null || true; fi
  rm -rf "${UNITS:?}/$UNIT" "$UNITS/$UNIT.d" "$UNITS/multi-user.target.wants/$UNIT"
  if [ ! -e $PACKAGED_UNIT ]; then
    rm -f /usr/lib/sysusers.d/edge-matting.conf /usr/lib/tmpfiles.d/edge-matting.conf
    rm -f /usr/local/bin/edge-matting
  fi
  rm -rf $PREFIX /var/cache/edge-matting
  if [ "$PURGE" = yes ]; then
    rm -rf $STATE /etc/edge-matting
    say "ledger, added models and configuration removed"
  else
    say "kept: $STATE (ledger, added models) and /etc/edge-matting"
  fi
  if systemd_runs; then systemctl daemon-reload; fi
  # The user stays: files in the hot folders belong to it.
  say "removed. Photos and results are where they were"
}

wheelhouse() {
  [ -n "$1" ] || fail "wheelhouse: name the folder to fill"
  check_python
  mkdir -p "$1"
  copy_source "$WORK/source"
  "$PYTHON" -m venv "$WORK/venv"
  "$WORK/venv/bin/python" -m pip wheel -q --disable-pip-version-check --no-deps \
    -w "$1" "$WORK/source"
  "$WORK/venv/bin/python" -m pip download -q --disable-pip-version-check --only-binary=:all: \
    -d "$1" "$(newest_wheel "$1")[${EXTRA:-cpu}]"
  say "$(find "$1" -name '*.whl' | wc -l) wheels for $("$PYTHON" -V) on $(uname -m) in $1"
}

COMMAND=${1:-}
[ $# -eq 0 ] || shift
OFFLINE='' EXTRA='' RUNTIME='' PYTHON=python3 DRAIN=60 START=yes SAMPLE=yes PURGE=no OPERAND=''
while [ $# -gt 0 ]; do
  case $1 in
    --offline | --extra | --runtime | --python | --drain)
      [ $# -ge 2 ] || fail "$1 needs a value"
      declare "$(tr -d - <<<"${1^^}")=$2"
      shift
      ;;
    --no-start) START=no ;;
    --no-sample) SAMPLE=no ;;
    --purge) PURGE=yes ;;
    -*) usage >&2 && exit 2 ;;
    *) OPERAND=$1 ;;
  esac
  shift
done
case $EXTRA in '' | cpu | gpu | torch) ;; *) fail "--extra must be cpu, gpu or torch" ;; esac
if [ -n "$OFFLINE" ]; then
  [ -d "$OFFLINE" ] || fail "--offline $OFFLINE: no such folder"
  OFFLINE=$(cd "$OFFLINE" && pwd)
fi
WORK=$(mktemp -d)

case $COMMAND in
  install) install_all ;;
  dropins) write_dropins && say "restart to use them: systemctl restart $UNIT" ;;
  uninstall) uninstall ;;
  wheelhouse) wheelhouse "$OPERAND" ;;
  -h | --help | help) usage ;;
  *) usage >&2 && exit 2 ;;
esac
