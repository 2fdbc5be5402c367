"""Put any folder of pictures through decoding and every output format, beside other programs.

    python -m tools.conformance FOLDER [FOLDER ...] [--outputs N] [--write TABLE.md]

Size, orientation, colour (as stored, and through the profile), depth and alpha are compared with
ImageMagick, djpeg, tiff2rgba, heif-convert and avifdec, metadata with exiftool, where these are
found; what is not found is named. Exit status 0: no disagreement without a reason; 1: some, each
named.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tools.conformance.compare import FAULTS, INTERNAL, Finding, examine
from tools.conformance.outputs import check_outputs
from tools.conformance.readers import missing
from tools.conformance.report import table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--outputs",
        type=int,
        default=1,
        metavar="N",
        help="write and read every output of each Nth file too; 0: of none",
    )
    parser.add_argument("--write", type=Path, help="where the table goes")
    parser.add_argument("--most", type=int, default=0, help="files of each folder, by chance")
    parser.add_argument("--bytes", type=int, default=1 << 40, help="larger files are left out")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    for tool in missing():
        print(f"SKIPPED: {tool} is not installed; what it would say is not compared")
    findings = []
    paths = list(chosen(options.folders, options.most, options.bytes))
    with ProcessPoolExecutor(options.jobs) as pool:
        for number, found in enumerate(
            pool.map(work, paths, _each(len(paths), options.outputs)), 1
        ):
            findings += found
            if number % 200 == 0:
                print(f"{number} of {len(paths)} files", flush=True)
    return report(findings, options.write)


def _each(count: int, step: int) -> list[bool]:
    return [bool(step) and number % step == 0 for number in range(count)]


def work(path: Path, outputs: bool) -> list[Finding]:
    """A file's own finding, and one for each output that came out wrong."""
    finding, photo = examine(path)
    found = [finding]
    if photo is not None and outputs:
        try:
            faults = check_outputs(photo)
        except Exception as error:  # noqa: BLE001  it is what we look for
            faults = {"outputs": f"{INTERNAL}: {type(error).__name__}: {error}"}
        found += [Finding(path, f"to {name}", "differs", words) for name, words in faults.items()]
    return found


def chosen(folders: list[Path], most: int, largest: int) -> Iterator[Path]:
    for folder in folders:
        found = (path for path in folder.rglob("*") if path.is_file())
        files = sorted(path for path in found if path.stat().st_size <= largest)
        if most and len(files) > most:
            files = sorted(random.Random(1).sample(files, most))
        yield from files


def report(findings: list[Finding], target: Path | None) -> int:
    text = table(findings)
    print(text)
    if target is not None:
        target.write_text(text, "utf-8")
    faults = [finding for finding in findings if finding.verdict in FAULTS]
    for finding in faults:
        print(f"{finding.verdict}: {finding.path} ({finding.kind}): {finding.words}")
    counts = Counter(finding.verdict for finding in findings)
    print(f"{sum(counts.values())} findings, {len(faults)} without a reason")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
