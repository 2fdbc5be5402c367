"""What ``models add`` says of a model that it has added."""

from __future__ import annotations

from collections.abc import Iterator

from edge_matting.onboarding.add import Added

_CLOSE = 1.5
"""Two normalisations are hard to separate below this ratio: a robust network, fed in another way
than it was trained with, was seen to do better than with its own by a third."""


def explain(added: Added) -> Iterator[str]:
    """What was found out, and what to do where it may be wrong."""
    manifest, found = added.manifest, added.statistics
    yield f"recognised as: {added.family.title}"
    if len(added.scores) > 1:
        ranked = sorted(added.scores.items(), key=lambda item: item[1].total)
        tried = ", ".join(f"{name} {score.total:.3f}" for name, score in ranked)
        yield f"normalisation: {added.normalisation}; tried, less is better: {tried}"
    yield (
        f"mattes of the built-in photos: from {found.minimum:.3f} to {found.maximum:.3f}, "
        f"mean {found.mean:.3f}, deviation {found.deviation:.3f}"
    )
    if close := rivals(added):
        yield (
            f"not much worse: {', '.join(close)}; where its makers name one of these, remove the "
            f"model and add it again with --preset {close[0]}"
        )
    yield f"added as {manifest.id}; use it with --model {manifest.id}, or as model: in the settings"


def rivals(added: Added) -> tuple[str, ...]:
    """Normalisations that did nearly as well as the one chosen."""
    if added.normalisation not in added.scores:
        return ()
    bound = _CLOSE * added.scores[added.normalisation].total
    return tuple(
        name
        for name, score in added.scores.items()
        if name != added.normalisation and score.total < bound
    )
