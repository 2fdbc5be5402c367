"""Admission: bounded by construction, in order, and never for ever."""

from __future__ import annotations

import threading
import time

from edge_matting.pipeline.admission import BYTES_IN_A_PIXEL, PixelBudget
from edge_matting.planner import BYTES_PER_PIXEL
from tools.waiting import wait_for


class Photos:
    """Photos that stay in the budget until they are let go."""

    def __init__(self, budget: PixelBudget) -> None:
        self.budget = budget
        self.inside: list[str] = []
        self._go = {}
        self._threads = []

    def come(self, name: str, pixels: int, size: int = 0) -> None:
        self._go[name] = threading.Event()
        thread = threading.Thread(target=self._pass, args=(name, pixels, size))
        self._threads.append(thread)
        thread.start()
        time.sleep(0.02)

    def _pass(self, name: str, pixels: int, size: int) -> None:
        budget = self.budget
        with budget.reading(size, lambda: None), budget.admit(pixels, lambda: None):
            self.inside.append(name)
            self._go[name].wait()
            self.inside.remove(name)

    def go(self, *names: str) -> None:
        for name in names:
            self._go[name].set()

    def end(self) -> None:
        self.go(*self._go)
        for thread in self._threads:
            thread.join()


def test_a_large_photo_has_its_turn_among_any_number_of_small_ones() -> None:
    """B7: seven workers, small photos without end."""
    photos = Photos(PixelBudget(100))
    for number in range(6):
        photos.come(f"small {number}", 15)
    photos.come("large", 90)
    for number in range(6, 12):
        photos.come(f"small {number}", 15)
    assert "large" not in photos.inside
    assert not {f"small {number}" for number in range(6, 12)} & set(photos.inside)
    photos.go(*(f"small {number}" for number in range(6)))
    wait_for(lambda: photos.inside == ["large"], lambda: f"the large one alone: {photos.inside}")
    photos.go("large")
    wait_for(lambda: len(photos.inside) == 6, lambda: f"those that came later: {photos.inside}")
    photos.end()


def test_bytes_that_wait_count_and_never_for_ever() -> None:
    budget = PixelBudget(100)
    photos = Photos(budget)
    photos.come("working", 60, 20 * BYTES_IN_A_PIXEL)
    photos.come("waiting", 60, 15 * BYTES_IN_A_PIXEL)
    photos.come("unread", 1, 50 * BYTES_IN_A_PIXEL)
    assert photos.inside == ["working"]
    assert budget._held == 35 * BYTES_IN_A_PIXEL
    photos.go("working")
    wait_for(lambda: "waiting" in photos.inside, lambda: str(photos.inside))
    photos.go("waiting")
    wait_for(lambda: photos.inside == ["unread"], lambda: str(photos.inside))
    photos.end()


def test_what_is_larger_than_all_of_it_comes_in_alone() -> None:
    photos = Photos(PixelBudget(10))
    photos.come("small", 5, 1)
    photos.come("larger than all", 1000, 10**9)
    assert photos.inside == ["small"]
    photos.go("small")
    wait_for(lambda: photos.inside == ["larger than all"], lambda: str(photos.inside))
    photos.end()


def test_bytes_and_pixels_are_counted_by_the_planners_measure() -> None:
    assert BYTES_IN_A_PIXEL == BYTES_PER_PIXEL
