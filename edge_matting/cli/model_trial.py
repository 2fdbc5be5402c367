"""One model tried and added: ``python -m edge_matting.cli.model_trial``, run by ``models add``."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from edge_matting.cli.confined import Confined, take_at_most
from edge_matting.cli.onboarding_report import explain
from edge_matting.cli.sample import trial_photos
from edge_matting.cli.trial import BuiltInPhotos, reference_mattes
from edge_matting.config import Settings
from edge_matting.core import logs
from edge_matting.core.arrays import Alpha
from edge_matting.core.errors import EdgeMattingError, OutOfMemory, StartError
from edge_matting.core.providers import RUNTIMES
from edge_matting.engine.factory import open_catalog, record_golden_matte
from edge_matting.models import Manifest
from edge_matting.onboarding.add import add_model
from edge_matting.onboarding.propose import OnboardingOptions
from edge_matting.runtimes import Session
from edge_matting.runtimes.registry import available_providers
from edge_matting.runtimes.session import Tensor

log = logging.getLogger(__name__)


def main() -> int:
    voice = Confined(int(sys.argv[1]))
    logs.configure()
    request = json.loads(sys.stdin.readline())
    memory = f"{request['memory'] >> 20} MiB"
    try:
        voice.answer({"lines": _added(request, voice)})
    except (MemoryError, OutOfMemory):
        voice.fail(f"{request['file']}: it wants more than {memory} of memory (--memory-mb)")
    except EdgeMattingError as error:
        voice.fail(error)
    except PermissionError as error:
        hint = "run this as the user whose file it is"
        voice.fail(StartError(f"{error.filename}: {error.strerror}", hint=hint))
    except Exception as error:
        # A stranger's file finds what nobody foresaw; it is refused for it, in a sentence.
        log.debug("the trial of a model failed", exc_info=True)
        said = str(error).strip().splitlines() or [""]
        voice.fail(f"{request['file']}: it cannot be tried: {type(error).__name__}: {said[0]}")
    return 0


def _added(request: dict[str, Any], voice: Confined) -> list[str]:
    settings = Settings.model_validate_json(request["settings"])
    catalog = open_catalog(settings)
    trial = WatchedPhotos(voice)
    reference = reference_mattes(catalog, BuiltInPhotos(trial_photos()))
    for runtime in RUNTIMES:
        with contextlib.suppress(EdgeMattingError):  # said when the model wants it
            available_providers(runtime)
    # The runtimes are loaded; what comes now is the stranger's.
    take_at_most(request["memory"])
    voice.step("read and load the model")
    added = add_model(
        catalog,
        Path(request["file"]),
        trial,
        model_id=request["id"],
        answers=OnboardingOptions.from_json(request["answers"]),
        reference=reference,
    )
    voice.step("make the matte that later self-tests compare with")
    record_golden_matte(settings, added.manifest.id)
    return [
        *added.manifest.as_yaml().rstrip().splitlines(),
        *(f"# {line}" for line in explain(added)),
    ]


class WatchedPhotos(BuiltInPhotos):
    """The built-in photos; each picture that a model has made is a sign of progress."""

    def __init__(self, voice: Confined) -> None:
        super().__init__(trial_photos())
        self._voice = voice

    def output(self, manifest: Manifest, session: Session, photo: int) -> Tensor:
        made = super().output(manifest, session, photo)
        self._voice.step("make the next matte")
        return made

    def matte(
        self, manifest: Manifest, session: Session, photo: int, *, mirrored: bool = False
    ) -> Alpha:
        made = super().matte(manifest, session, photo, mirrored=mirrored)
        self._voice.step("make the next matte")
        return made


if __name__ == "__main__":
    sys.exit(main())
