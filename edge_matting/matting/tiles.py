"""Work in proportion to the uncertain band: a grid of square cells over a picture.

Smooth quantities (filter coefficients, blurred colours) are computed once a cell and enlarged
only where the matte is uncertain, tile by tile, so that temporaries stay in the cache and a
photo's certain inside and background cost next to nothing. Every step on a tile gives the
interpreter's lock away and takes it back: with tiles a quarter as large two threads waited for each
other so often that they did 15 photos a second in place of 21.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[Any])
Cells: TypeAlias = npt.NDArray[np.float32]

_TILE_ROWS: Final = 128  # pixels
_TILE_COLUMNS: Final = 1024
_GAP: Final = 96  # certain pixels between two tiles of a row that are worth a cut


@dataclass(frozen=True, slots=True)
class Tile:
    """Rows and columns of cells."""

    rows: slice
    columns: slice


@dataclass(frozen=True, slots=True)
class Grid:
    """``factor`` x ``factor`` pixels a cell; the last row and column of cells may be cut off.

    Factors are powers of two where the grid chooses: means of 2 x 2 are several times as fast.
    """

    height: int  # of the picture, pixels
    width: int
    factor: int

    @classmethod
    def over(cls, shape: tuple[int, ...], longest: int) -> Grid:
        """A grid of at most ``longest`` cells a side over a picture of ``shape`` (H, W, ...)."""
        least = -(-max(shape[:2]) // longest)
        return cls.of(shape, 1 << (least - 1).bit_length())

    @classmethod
    def of(cls, shape: tuple[int, ...], factor: int) -> Grid:
        """Cells of ``factor`` pixels over a picture of ``shape`` (H, W, ...)."""
        return cls(shape[0], shape[1], factor)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells, h x w."""
        return -(-self.height // self.factor), -(-self.width // self.factor)

    def means(self, image: AnyArray) -> AnyArray:
        """Each cell's mean of an H x W or H x W x C picture, h x w or h x w x C, the same type."""
        if self.factor == 1:
            return image
        result = np.empty((*self.shape, *image.shape[2:]), image.dtype)
        whole = self.height // self.factor, self.width // self.factor
        for rows in _parts(whole[0], self.shape[0]):
            for columns in _parts(whole[1], self.shape[1]):
                self._fill(result, image, Tile(rows, columns))
        return result  # type: ignore[return-value]

    def _fill(self, result: npt.NDArray[Any], image: npt.NDArray[Any], tile: Tile) -> None:
        part = result[tile.rows, tile.columns]
        mean, factor = image[self.pixels(tile)], self.factor
        while factor > 2 and factor % 2 == 0 and mean.shape[0] % 2 == mean.shape[1] % 2 == 0:
            mean, factor = _area(mean, (mean.shape[1] // 2, mean.shape[0] // 2)), factor // 2
        part[...] = _area(mean, part.shape[1::-1]).reshape(part.shape)

    def pixels(self, tile: Tile) -> tuple[slice, slice]:
        """Where the tile lies in the picture."""
        rows, columns = tile.rows, tile.columns
        return (
            slice(rows.start * self.factor, min(rows.stop * self.factor, self.height)),
            slice(columns.start * self.factor, min(columns.stop * self.factor, self.width)),
        )

    def band(self, share: Cells) -> Iterator[Tile]:
        """Tiles that together hold every cell whose mean is neither 0 nor 1.

        ``share`` is h x w, the cells' means of the matte.
        """
        step = max(1, _TILE_ROWS // self.factor)
        for start in range(0, len(share), step):
            rows = slice(start, min(start + step, len(share)))
            part = share[rows]
            uncertain = np.flatnonzero(((part > 0.0) & (part < 1.0)).any(axis=0))
            for columns in self._runs(uncertain):
                yield Tile(rows, columns)

    def _runs(self, cells: npt.NDArray[np.intp]) -> Iterator[slice]:
        """Runs of neighbouring cells, none much longer than a tile should be."""
        if not len(cells):
            return
        longest = max(1, _TILE_COLUMNS // self.factor)
        gaps = np.flatnonzero(np.diff(cells) * self.factor > _GAP) + 1
        for first, last in pairwise((0, *gaps.tolist(), len(cells))):
            begin, end = int(cells[first]), int(cells[last - 1]) + 1
            for start in range(begin, end, longest):
                yield slice(start, min(start + longest, end))

    def enlarge(self, cells: Cells, tile: Tile) -> Cells:
        """``cells`` (h x w or h x w x C, C up to 4), linearly interpolated to the tile's pixels.

        Interpolated tiles join without a seam: each sees the cells around it.
        """
        rows, columns = tile.rows, tile.columns
        top, left = max(rows.start - 1, 0), max(columns.start - 1, 0)
        near = cells[top : rows.stop + 1, left : columns.stop + 1]
        size = near.shape[1] * self.factor, near.shape[0] * self.factor
        wide: Any = cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)
        down, across = (rows.start - top) * self.factor, (columns.start - left) * self.factor
        y, x = self.pixels(tile)
        wide = wide.reshape(size[1], size[0], *cells.shape[2:])
        part: Cells = wide[down : down + y.stop - y.start, across : across + x.stop - x.start]
        return part


def blocks(share: Cells, count: int, margin: int) -> Iterator[tuple[Tile, Tile]]:
    """Blocks of at most ``count`` rows of cells that together hold the band and one cell around it,
    each with itself widened by ``margin`` cells.

    Where a window of ``margin`` cells is all that a result depends on, computing each widened
    block gives what the whole picture would, and its temporaries stay in the cache. Widened blocks
    begin and end at even cells, so that at half their size all have the same cells.
    """
    uncertain = (share > 0.0) & (share < 1.0)
    height, width = share.shape
    for start in range(0, height, count):
        stop = min(start + count, height)
        found = np.flatnonzero(uncertain[max(0, start - 1) : stop + 1].any(axis=0))
        if not len(found):
            continue
        left, right = max(0, int(found[0]) - 1), min(width, int(found[-1]) + 2)
        inner = Tile(slice(start, stop), slice(left, right))
        outer = Tile(_evened(inner.rows, margin, height), _evened(inner.columns, margin, width))
        yield inner, outer


def _evened(part: slice, margin: int, size: int) -> slice:
    """``part`` widened by ``margin`` or one more, within ``size``."""
    start, stop = max(0, part.start - margin), part.stop + margin
    return slice(start - start % 2, min(size, stop + stop % 2))


def within(inner: slice, outer: slice) -> slice:
    """Where ``inner`` lies in a part that begins at ``outer``'s start."""
    return slice(inner.start - outer.start, inner.stop - outer.start)


def _area(image: npt.NDArray[Any], size: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _parts(whole: int, count: int) -> Iterator[slice]:
    """The cells of full size, and the one that the picture's edge cuts."""
    if whole:
        yield slice(0, whole)
    if count > whole:
        yield slice(whole, count)
