"""A sheet of samples of one made kind, to be looked at before it is trained on.

python -m tools.training.sheet --base WORK/set --kind goods -o sheet.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from tools.training.wider import SHARES, Sets, Wider

COLUMNS, CELL = 5, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--taught", type=Path)
    parser.add_argument("--kind", choices=sorted(SHARES), required=True)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.png")
    options = parser.parse_args()
    wider = Wider(
        Sets(options.base, options.taught), np.random.default_rng(options.seed), {options.kind: 1.0}
    )
    cells = []
    for _ in range(options.rows * COLUMNS):
        rgb, alpha = wider.draw(320)
        pair = np.hstack([rgb, np.repeat(alpha[..., None], 3, 2)])
        cells.append(cv2.resize(pair, (2 * CELL, CELL), interpolation=cv2.INTER_AREA))
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    cv2.imwrite(str(options.out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
