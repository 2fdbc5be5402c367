"""The installed service on a real systemd: killed, held, cut off, filled up, upgraded, removed.

    sudo python -m tools.trial --debian /var/cache/trial-debian --kills 20
    sudo python -m tools.trial --former v0.1.0

Makes a Debian root with debootstrap (kept at ``--debian``), boots a copy of it without a network,
installs the package from a wheelhouse, and checks from outside. One line for each check; exit
status 0 when all held, and when this machine cannot do it, which is said. ``--former`` upgrades the
release of that commit in place instead. Needs root, systemd-nspawn and debootstrap.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.trial.box import Box
from tools.trial.changes import CHANGES
from tools.trial.checks import CHECKS, QUICK
from tools.trial.former import FORMER, unpack
from tools.trial.nspawn import Container, NotHereError, TrialError, make_debian, why_not_here

SOURCE = Path(__file__).resolve().parents[2]


def make_wheel(into: Path, wheels: Path, version: str, *, starts: bool = True) -> None:
    """The wheels of ``wheels``, with the appliance of another version; one that fails to start."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "source"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCE / "edge_matting", source / "edge_matting", ignore=ignored)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(SOURCE / name, source / name)
        init = source / "edge_matting" / "__init__.py"
        init.write_text(
            re.sub(r'__version__ = "[^"]+"', f'__version__ = "{version}"', init.read_text())
        )
        if not starts:
            run = source / "edge_matting" / "cli" / "run.py"
            run.write_text(
                run.read_text().replace(
                    "return Appliance(", "raise SystemExit(1)\n    return Appliance("
                )
            )
        into.mkdir()
        for wheel in wheels.glob("*.whl"):
            if not wheel.name.startswith("edge_matting"):
                (into / wheel.name).symlink_to(f"/wheels/{wheel.name}")
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(into), str(source)],
            check=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--debian", type=Path, default=Path("/var/cache/edge-matting-trial/debian"))
    parser.add_argument("--wheelhouse", type=Path, help="made by `make wheelhouse`; else made now")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="install, rights, owners, kills")
    parser.add_argument("--former", metavar="COMMIT", help="upgrade that release, nothing else")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the container's files there")
    options = parser.parse_args()
    problem = why_not_here()
    if problem:
        print(f"trial: SKIPPED: {problem}")
        return 0
    try:
        return _try_on(options)
    except NotHereError as error:
        print(f"trial: SKIPPED: {error}")
        return 0


def _try_on(options: argparse.Namespace) -> int:
    if not options.debian.exists():
        print("trial: making a Debian root, once", flush=True)
        make_debian(options.debian)
    work = Path(tempfile.mkdtemp(prefix="trial-", dir=options.debian.resolve().parent))
    try:
        return _try(work, options)
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)


def _try(work: Path, options: argparse.Namespace) -> int:
    checks = FORMER if options.former else QUICK if options.quick else CHECKS + CHANGES
    binds = _prepare(work, options.wheelhouse, whole=checks is not QUICK and checks is not FORMER)
    if options.former:
        binds |= unpack(options.former, work)
    subprocess.run(["cp", "-a", str(options.debian), str(work / "root")], check=True)
    container = Container(work / "root", binds)
    box = Box(container, options.seed, options.kills)
    begin = time.monotonic()
    _first_boot(container)
    try:
        for check in checks:
            name = check.__name__.replace("_", " ")
            started = time.monotonic()
            said = check(box)
            print(f"trial: ok   {name} ({time.monotonic() - started:.0f} s): {said}", flush=True)
    except TrialError as error:
        print(f"trial: FAIL {name}: {error}")
        return 1
    finally:
        container.shut_down()
    print(f"trial: HELD {len(checks)} checks, {time.monotonic() - begin:.0f} s")
    return 0


def _first_boot(container: Container) -> None:
    """The root is plain Debian still: if that does not come up, it is not the appliance's doing."""
    try:
        container.boot()
    except TrialError as error:
        container.cut_power()  # a systemd that is stuck does not end when asked to
        raise NotHereError(f"no container with a systemd boots here: {error}") from error


def _prepare(work: Path, wheels: Path | None, *, whole: bool) -> dict[str, Path]:
    """What the container is given to read: this source, wheels, other versions, the package."""
    if wheels is None:
        wheels = work / "wheels"
        subprocess.run([SOURCE / "tools" / "install.sh", "wheelhouse", wheels], check=True)
    binds = {"/source": SOURCE, "/wheels": wheels.resolve()}
    if whole:
        make_wheel(work / "newer", wheels, "99.0.0")
        make_wheel(work / "broken", wheels, "99.0.1", starts=False)
        subprocess.run([SOURCE / "tools" / "make_deb.sh", work / "deb", wheels], check=True)
        binds |= {f"/{name}": work / name for name in ("newer", "broken", "deb")}
    return binds


if __name__ == "__main__":
    sys.exit(main())
