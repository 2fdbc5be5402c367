"""What a plan must know of a model, and which of its sizes and precisions are worth planning."""

from __future__ import annotations

from dataclasses import dataclass

from edge_matting.core.providers import FULL_PRECISION, MAIN_RUNTIME, RUNTIMES

Resolution = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What the model reached in one precision at one size, on its maker's held-out pictures."""

    precision: str
    resolution: Resolution  # width, height
    iou: float  # at alpha 0.5, 0 to 1


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """What the plan must know of the model."""

    resolution: Resolution  # width, height it was made for
    multiple: int | None  # sizes must be multiples of this; None: the size is fixed
    files: tuple[tuple[str, str], ...] = ((MAIN_RUNTIME, FULL_PRECISION),)
    """Backend and precision of its files, the main one first."""
    quality: tuple[Evaluated, ...] = ()
    quality_floor: float | None = None  # the least iou that is worth planning for
    file_bytes: int = 8 << 20  # the largest file

    def precisions(self, backend: str) -> tuple[str, ...]:
        """The precisions of the files that the runtime reads, those of its own files first."""
        kinds = RUNTIMES[backend].files
        found = [precision for kind in kinds for each, precision in self.files if each == kind]
        return tuple(dict.fromkeys(found))

    def fits(self, resolution: Resolution) -> bool:
        """Whether the model takes that size."""
        if self.multiple is None:
            return resolution == self.resolution
        return all(side >= self.multiple and side % self.multiple == 0 for side in resolution)

    def iou(self, precision: str, resolution: Resolution) -> float | None:
        """What was reached there; None where nobody measured."""
        for row in self.quality:
            if (row.precision, row.resolution) == (precision, resolution):
                return row.iou
        return None

    def good_enough(self, precision: str) -> tuple[Resolution, ...]:
        """Sizes known to reach the quality floor in that precision, the largest first.

        Without a floor, or without figures for this precision, that is the model's own size in
        its main precision, and nothing in the others: what nobody measured is not planned.
        """
        rows = [row for row in self.quality if row.precision == precision]
        if self.quality_floor is None or not rows:
            main = precision == self.files[0][1]
            return (self.resolution,) if main else ()
        reached = {
            row.resolution
            for row in rows
            if row.iou >= self.quality_floor and self.fits(row.resolution)
        }
        return tuple(sorted(reached, key=lambda size: (size[0] * size[1], size), reverse=True))
