"""Who else could read the token, change the configuration or look into the state: as ssh looks."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from edge_matting.cli.findings import Finding
from edge_matting.config import Settings

SERVICE_USER = "edge-matting"
GROUP_WRITES, OTHERS_READ, OTHERS_WRITE = stat.S_IWGRP, stat.S_IROTH, stat.S_IWOTH


def rights(settings: Settings, config: Path | None) -> Iterator[Finding]:
    """One finding a thing; what does not exist has no rights."""
    token = settings.status.token_file
    if token is not None:
        secret = GROUP_WRITES | stat.S_IRGRP | OTHERS_READ | OTHERS_WRITE
        yield from _of("token", token, secret, "600")
    if config is not None:
        yield from _of("configuration", config, GROUP_WRITES | OTHERS_WRITE, "644")
    # The ledger lies in it, and models that are run.
    yield from _of("state dir", settings.state_dir, GROUP_WRITES | OTHERS_WRITE, "700")
    yield from _of("models", settings.models_dir, GROUP_WRITES | OTHERS_WRITE, "755")


def _of(what: str, path: Path, forbidden: int, mode: str) -> Iterator[Finding]:
    try:
        faults = [*_faults(path, forbidden, mode), *_ways_in(path)]
    except FileNotFoundError:
        return
    except PermissionError:
        yield Finding(f"rights of {what} {path}", "are not for this user to see")
        return
    yield Finding(
        f"rights of {what} {path}",
        "; ".join(faults) or "nobody else may change it",
        well=not faults,
    )


def _faults(path: Path, forbidden: int, mode: str) -> Iterator[str]:
    status = path.stat()
    may = status.st_mode & forbidden
    if may & (stat.S_IRWXG) and _is_private_group(status):
        may &= ~stat.S_IRWXG
    for bits, who in ((stat.S_IRWXG, "its group"), (stat.S_IRWXO, "every user")):
        if may & bits:
            change = may & bits & (stat.S_IWGRP | stat.S_IWOTH)
            yield f"{who} may {'change' if change else 'read'} it: chmod {mode} {path}"
    if status.st_uid not in _ours():
        yield f"belongs to {_name(status.st_uid)}: chown {_name(os.geteuid())} {path}"


def _ways_in(path: Path) -> Iterator[str]:
    """Folders above in which somebody else could put another in its place."""
    for folder in path.absolute().parents:
        status = folder.stat()
        if status.st_mode & stat.S_ISVTX:
            continue  # as in /tmp, where only the owner renames
        others = bool(status.st_mode & OTHERS_WRITE)
        group = bool(status.st_mode & GROUP_WRITES) and not _is_private_group(status)
        if others or group:
            who = "every user" if others else "its group"
            yield f"{who} may change {folder} above it: chmod go-w {folder}"


def _ours() -> frozenset[int]:
    """Root, who asks, and the service: everybody else is somebody else."""
    ours = {0, os.geteuid()}
    try:
        ours.add(pwd.getpwnam(SERVICE_USER).pw_uid)
    except KeyError:
        pass  # not installed as a service
    return frozenset(ours)


def _is_private_group(status: os.stat_result) -> bool:
    """Whether the group is the owner's alone, as many systems give each user one."""
    if status.st_gid == 0:
        return True
    try:
        group, owner = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid)
    except KeyError:
        return False
    names = {user.pw_name for user in pwd.getpwall() if user.pw_gid == status.st_gid}
    return (names | set(group.gr_mem)) <= {owner.pw_name}


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
