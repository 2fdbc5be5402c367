"""A copy of the package to which a test adds something, run as real processes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import edge_matting

SOURCE = Path(edge_matting.__file__).parent


@dataclass(frozen=True)
class CopiedPackage:
    """``root`` goes on the path of a process; ``touched`` are the files that the test wrote."""

    root: Path
    touched: list[str]

    @property
    def env(self) -> dict[str, str]:
        """For a process whose working folder is not the project's own."""
        return {"PYTHONPATH": str(self.root)}

    def add(self, file: str, text: str) -> None:
        """A new file, named from the package's folder on."""
        path = self.root / "edge_matting" / file
        assert not path.exists(), f"{file} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.touched.append(file)

    def insert(self, file: str, after: str, text: str) -> None:
        """More lines after the one place where ``after`` stands."""
        path = self.root / "edge_matting" / file
        content = path.read_text()
        assert content.count(after) == 1, f"{after!r} stands {content.count(after)} times in {file}"
        path.write_text(content.replace(after, after + text))
        if file not in self.touched:
            self.touched.append(file)


def copied_package(root: Path) -> CopiedPackage:
    """A copy under ``root``; what is only linked, such as the models, stays linked."""
    target = root / "edge_matting"
    shutil.copytree(SOURCE, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (SOURCE / "data").iterdir():
        if path.is_symlink():
            (target / "data" / path.name).unlink()
            (target / "data" / path.name).symlink_to(path.resolve())
    return CopiedPackage(root, [])
