"""Below a hot folder there is one door, `core.anchored`: no other module calls files there.

In the packages that work on hot folders every direct call of the file system is listed here, with
what it is for. A new one is either a mistake, or of the appliance's own files and listed too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "edge_matting"

PACKAGES = ("hotfolder", "publish", "pipeline", "daemon", "engine/jobs", "status")
MODULES = ("engine/worker.py", "cli/directory.py", "cli/process.py")

OF_OS = {
    *("open", "walk", "fwalk", "scandir", "listdir", "rename", "renames", "replace", "unlink"),
    *("remove", "link", "symlink", "mkdir", "makedirs", "rmdir", "stat", "lstat", "access"),
    *("utime", "truncate", "chmod", "chown", "mkfifo", "mknod", "readlink"),
}
OF_PATHS = {
    *("read_bytes", "read_text", "write_bytes", "write_text", "rglob", "glob", "iterdir", "walk"),
    *(
        "unlink",
        "rename",
        "mkdir",
        "rmdir",
        "touch",
        "lstat",
        "stat",
        "exists",
        "is_file",
        "is_dir",
    ),
    *("is_symlink", "symlink_to", "hardlink_to", "link_to", "readlink", "samefile", "chmod"),
}

ALLOWED = {
    "hotfolder/watch.py": {"glob", "read_text", "stat"},  # /proc; whether the folder is another one
    "hotfolder/filesystems.py": {"read_text"},  # /proc/self/mountinfo
    "hotfolder/condition.py": {"os.access", "shutil.disk_usage"},  # by descriptor; free space
    "pipeline/backdrops.py": {"read_bytes"},  # a recipe's background picture
    "pipeline/grounds.py": {"read_bytes"},  # a plate that the configuration names
    "pipeline/self_test.py": {"read_bytes"},  # the built-in photo
    "daemon/housekeeping.py": {"glob", "is_dir", "iterdir", "stat", "unlink", "shutil.rmtree"},
    "daemon/appliance.py": {"glob", "mkdir", "os.access"},  # the state folder and its locks
    "daemon/intake.py": {"is_dir"},  # whether the disk is mounted, before a folder is made
    "daemon/engine_process.py": {"read_text"},  # /proc
    "daemon/pause.py": {"exists", "touch", "unlink"},  # a file of the state folder
    "engine/jobs/results.py": {"read_bytes", "write_bytes"},  # thumbnails, in the state folder
    "cli/directory.py": {"is_dir", "is_file"},  # what was named on the command line
    "cli/process.py": {"os.access", "stat"},  # the state folder
    "status/api.py": {"is_file"},  # a thumbnail of the state folder
    "status/security.py": {"is_file", "read_text", "stat"},  # the token
    "status/sessions.py": {"read_bytes"},  # a file of the state folder
}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))
    yield from (ROOT / module for module in MODULES)


def direct_calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id == "open":
            yield "open"
        elif isinstance(called, ast.Attribute):
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            if (owner == "os" and called.attr in OF_OS) or owner == "shutil":
                yield f"{owner}.{called.attr}"
            elif owner != "os" and called.attr in OF_PATHS:
                yield called.attr
            elif called.attr == "open" and any(map(_is_mode, node.args[:1])):
                yield "open"


def _is_mode(argument: ast.expr) -> bool:
    """``path.open("rb")``, and not ``source.open(claim)``."""
    return isinstance(argument, ast.Constant) and isinstance(argument.value, str)


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_module_calls_the_file_system_below_a_hot_folder(path: Path) -> None:
    allowed = ALLOWED.get(str(path.relative_to(ROOT)), set())
    assert set(direct_calls(path)) <= allowed


def test_the_rule_sees_what_it_forbids(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "import os, shutil\n"
        "open('a')\n(folder / 'a').open('rb')\nos.scandir(folder)\nfolder.rglob('*')\n"
        "(folder / 'a').read_bytes()\nos.rename('a', 'b')\nshutil.move('a', 'b')\n"
        "self._photos.open(claim)\n"
    )
    found = list(direct_calls(module))
    assert sorted(found) == sorted(
        ["open", "open", "os.scandir", "rglob", "read_bytes", "os.rename", "shutil.move"]
    )
