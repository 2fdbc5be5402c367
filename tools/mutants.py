"""Mutation testing of one file: which small changes of it does no test notice?

    python -m tools.mutants edge_matting/ledger/retry_policy.py [--tests tests/ledger] [--most 60]

cosmic-ray changes the file in a copy of the tree under build/mutants, one change at a time, and
runs the tests of the folder that mirrors it. Prints each change that all tests survived; exit
status 1 when there is one. ``--most`` takes a spread of so many changes: a look takes minutes.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / "build" / "mutants"
COPIED = ("edge_matting", "tests", "tools", "models", "config", "systemd", "docs")
SECONDS = 120.0


def tests_of(module: Path) -> Path:
    """The test file, or else the folder, that mirrors ``module`` (relative to the root)."""
    folder = Path("tests", *module.parent.parts[1:])
    single = folder / f"test_{module.stem}.py"
    if (ROOT / single).exists():
        return single
    while not (ROOT / folder).is_dir():
        folder = folder.parent
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="a file of edge_matting, from the root")
    parser.add_argument("--tests", type=Path, help="test file or folder; default: the mirror's")
    parser.add_argument("--most", type=int, default=60, help="changes to try at most")
    options = parser.parse_args(arguments)
    _copy_tree()
    python = sys.executable
    tests = options.tests or tests_of(options.file)
    (COPY / "mutants.toml").write_text(
        f"""[cosmic-ray]
module-path = "{options.file}"
timeout = {SECONDS}
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:cacheprovider -m 'not slow and not gpu' {tests}"
[cosmic-ray.distributor]
name = "local"
""",
        "utf-8",
    )
    _run(python, "-m", "cosmic_ray.cli", "init", "mutants.toml", "mutants.sqlite")
    kept = _spread(options.most)
    print(f"{kept} changes of {options.file}, against {tests}")
    _run(python, "-m", "cosmic_ray.cli", "exec", "mutants.toml", "mutants.sqlite")
    return _report()


def _copy_tree() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, COPY / name, symlinks=True)
    for name in ("pyproject.toml", "setup.py", "README.md", "Makefile", "LICENSE"):
        shutil.copy(ROOT / name, COPY / name)


def _run(*command: str) -> None:
    subprocess.run(command, cwd=COPY, check=True)


def _spread(most: int) -> int:
    """Keep every n-th change, so that at most ``most`` are tried."""
    with sqlite3.connect(COPY / "mutants.sqlite") as database:
        ids = [row[0] for row in database.execute("SELECT job_id FROM mutation_specs")]
        step = max(1, -(-len(ids) // most))
        dropped = [(each,) for number, each in enumerate(ids) if number % step]
        database.executemany("DELETE FROM mutation_specs WHERE job_id = ?", dropped)
        database.executemany("DELETE FROM work_items WHERE job_id = ?", dropped)
    return len(ids) - len(dropped)


def _report() -> int:
    with sqlite3.connect(COPY / "mutants.sqlite") as database:
        rows = database.execute(
            "SELECT m.operator_name, m.start_pos_row, r.test_outcome, r.diff FROM mutation_specs m "
            "JOIN work_results r ON r.job_id = m.job_id ORDER BY m.start_pos_row"
        ).fetchall()
    survived = [row for row in rows if "SURVIVED" in str(row[2]).upper()]
    for operator, line, _, diff in survived:
        print(f"\nline {line}, {operator}:")
        changed = [text for text in str(diff).splitlines() if text[:1] in "+-"]
        print("\n".join(text for text in changed if not text.startswith(("+++", "---"))))
    print(f"\n{len(rows)} changes tried, {len(survived)} noticed by no test")
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main())
