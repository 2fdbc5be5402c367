"""Write the drop-ins of the unit that depend on this machine and on the configuration.

    python tools/unit_dropins.py --into /etc/systemd/system/edge-matting.service.d

``10-device.conf``: the drop-in for the device found, with a ``DeviceAllow`` for each node that
exists and the groups that open them. ``20-folders.conf``: the folders that the configuration
names, the network its page needs, its token. Run it again (``install.sh dropins``) after the
configuration names other folders, another address or a token.
"""

from __future__ import annotations

import argparse
import grp
import ipaddress
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edge_matting.config import Settings, load_settings
from edge_matting.core.errors import ConfigError

DEVICES = Path(__file__).resolve().parents[1] / "systemd" / "devices"
CONFIG = Path("/etc/edge-matting/edge-matting.yaml")

NVIDIA_NODES = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm*", "nvidia-modeset", "nvidia-caps/*")
JETSON_NODES = ("nvmap", "nvhost-*", "nvgpu/*/*", "host1x-fence", "dri/renderD*", "nvsciipc")
GPU_GROUPS = ("video", "render")

PRIVATE_NETWORKS = ("link-local", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Who may reach a page that does not only listen on this machine itself."""

HOMES = (Path("/home"), Path("/root"), Path("/run/user"))


def kind_of_device(root: Path) -> str:
    """``jetson``, ``nvidia`` or ``cpu``, by what only such a machine has."""
    compatible = root / "sys/firmware/devicetree/base/compatible"
    if (root / "etc/nv_tegra_release").exists() or b"nvidia,tegra" in _bytes(compatible):
        return "jetson"
    if (root / "proc/driver/nvidia/version").exists() or (root / "dev/nvidiactl").exists():
        return "nvidia"
    return "cpu"


def device_dropin(root: Path, groups: Sequence[str]) -> str:
    """The drop-in for the device below ``root``; ``groups`` are the groups this machine has."""
    kind = kind_of_device(root)
    lines = [(DEVICES / f"{kind}.conf").read_text("utf-8").rstrip()]
    if kind != "cpu":
        patterns = NVIDIA_NODES if kind == "nvidia" else JETSON_NODES
        nodes = list(device_nodes(root, patterns))
        lines += ["# The nodes that existed when this was written:"]
        lines += [f"DeviceAllow={node} rw" for node in nodes] or ["# none; see `doctor`"]
        # A group that does not exist would keep the unit from starting (216/GROUP).
        present = [group for group in GPU_GROUPS if group in groups]
        if present:
            lines.append(f"SupplementaryGroups={' '.join(present)}")
    return "\n".join(lines) + "\n"


def device_nodes(root: Path, patterns: Iterable[str]) -> Iterator[str]:
    """Paths of the character devices that the patterns name, as seen from ``root``."""
    found = {path for pattern in patterns for path in (root / "dev").glob(pattern)}
    for path in sorted(found):
        if _is_device(path):
            yield "/" + os.fspath(path.relative_to(root))


def folders_dropin(settings: Settings) -> str:
    """Mounts, writable folders, network and token, as the settings need them."""
    folders = [path for hot in settings.hot_folders for path in (hot.path, hot.out) if path]
    written = [*folders, settings.state_dir]
    lines = ["# Written by install.sh from the configuration; `install.sh dropins` renews it."]
    lines += ["[Unit]", *(f"RequiresMountsFor={_quoted(path)}" for path in written)]
    # "-": a folder that is missing is told on the page; it does not keep the page from starting.
    lines += ["", "[Service]", *(f"ReadWritePaths={_quoted(path, '-')}" for path in written)]
    homes = [path for path in written if any(home in path.parents for home in HOMES)]
    if homes:
        lines += ["# A folder in a home: of the homes only it is shown.", "ProtectHome=tmpfs"]
        lines += [f"BindPaths={_quoted(path, '-')}" for path in homes]
    lines += _network(settings.status.host)
    token = settings.status.token_file
    if token is not None and token.is_file():
        lines += ["# The token stays root's; systemd hands the service a copy."]
        lines += [f"LoadCredential={token.name}:{token}".replace("%", "%%")]
    return "\n".join(lines) + "\n"


def _network(host: str) -> list[str]:
    try:
        alone = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        alone = host == "localhost"
    if alone:
        return []
    return [
        f"# status.host is {host}: private networks may reach the page. Narrow it to yours with",
        "# IPAddressAllow= (empty), then IPAddressAllow=localhost 192.168.5.0/24 in a drop-in.",
        f"IPAddressAllow={' '.join(PRIVATE_NETWORKS)}",
    ]


def _quoted(path: Path, prefix: str = "") -> str:
    text = f"{prefix}{path}".replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if any(c in text for c in " \t'\"\\") else text


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _is_device(path: Path) -> bool:
    return stat.S_ISCHR(path.stat().st_mode)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("--config", type=Path, default=CONFIG)
    options = parser.parse_args()
    try:
        settings = load_settings(options.config)
    except ConfigError as error:
        print("\n".join(error.faults), file=sys.stderr)
        return 2
    root = Path("/")
    options.into.mkdir(parents=True, exist_ok=True)
    groups = [entry.gr_name for entry in grp.getgrall()]
    (options.into / "10-device.conf").write_text(device_dropin(root, groups))
    (options.into / "20-folders.conf").write_text(folders_dropin(settings))
    print(f"drop-ins for a {kind_of_device(root)} box written to {options.into}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
