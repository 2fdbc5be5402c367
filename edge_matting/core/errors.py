"""Everything the appliance can say went wrong.

::

    EdgeMattingError
    ├── ConfigError            the settings are wrong: exit status 2
    ├── StartError             no start is possible (lock, port, no runtime): exit status 2
    ├── LedgerError            the ledger cannot be used
    │   └── LedgerCorrupt      its file is damaged: set it aside and rebuild it
    ├── ModelError             a model is missing, altered or unusable
    ├── SessionError           the runtime refused to load or run a model
    │   └── SelfTestFailed     the built-in photo did not get its known matte
    └── JobError               one photo could not be done
        ├── PermanentError     trying again cannot help
        │   ├── NotAnImage
        │   ├── Unsupported
        │   ├── TooLarge
        │   ├── TooSlow
        │   ├── SourceGone
        │   ├── UnfitParameters
        │   └── EngineCrashed
        └── TemporaryError     trying again may help
            ├── Truncated
            ├── OutOfMemory
            │   └── GpuOutOfMemory    not the photo's fault: the attempt is refunded
            ├── InferenceFailed
            ├── InternalFault      a mistake of ours; its traceback is in the log
            └── Blocked        not the photo's fault: the attempt is refunded
                ├── SourceChanged
                ├── SourceUnreadable
                ├── DiskFull
                ├── FolderUnavailable
                └── DeviceLost     the GPU is lost to this process; a new one is started

Two words decide every retry: permanent and temporary. A message says what happened and to
which file; ``hint`` says what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class EdgeMattingError(Exception):
    """Base of all errors the appliance raises on purpose."""

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(EdgeMattingError):
    """The configuration is wrong; ``faults`` holds one ``path.to.key: what`` line per fault."""

    code = "config"

    def __init__(self, message: str, *, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults or (message,)


class StartError(EdgeMattingError):
    """The appliance cannot start, and starting again unchanged would not help."""

    code = "start"


class LedgerError(EdgeMattingError):
    """The ledger cannot be opened or breaks its own rules."""

    code = "ledger"


class LedgerCorrupt(LedgerError):
    """The ledger's file is damaged; what it knew can be found again by a rescan."""

    code = "ledger_corrupt"
    default_hint = "stop the service and move it away; a new one is built from the folders"


class ModelError(EdgeMattingError):
    """A model is missing, altered, or its manifest is wrong."""

    code = "model"


class SessionError(EdgeMattingError):
    """The inference runtime could not load or run the model."""

    code = "session"


class SelfTestFailed(SessionError):
    """A session runs, but does not give the built-in photo its known matte."""

    code = "self_test"
    default_hint = "check the driver and the runtime: edge-matting doctor"


class JobError(EdgeMattingError):
    """One photo could not be done."""

    code = "job"


class PermanentError(JobError):
    """Trying the same bytes again cannot help."""

    code = "permanent"


class NotAnImage(PermanentError):
    code = "not_an_image"
    default_hint = "open it in a viewer; if it shows there, export it again as JPEG or PNG"


class Unsupported(PermanentError):
    code = "unsupported"
    default_hint = "export it as JPEG, PNG, WebP or TIFF"


class TooLarge(PermanentError):
    code = "too_large"
    default_hint = "raise limits.max_pixels or limits.max_file_mb, or make the picture smaller"


class TooSlow(PermanentError):
    """Decoding it takes, or would take, far more time than its size explains."""

    code = "too_slow"
    default_hint = "open it in a viewer and export it again as JPEG or PNG"


class SourceGone(PermanentError):
    code = "source_gone"
    default_hint = "it was moved or deleted before it could be read; drop it again"


class UnfitParameters(PermanentError):
    """The parameters that the photo was sent with do not fit its recipe as it is now."""

    code = "unfit_parameters"
    default_hint = "the recipe was changed since; send the photo again"


class EngineCrashed(PermanentError):
    """The engine process died each time this photo was alone in it."""

    code = "engine_crashed"
    default_hint = "the file breaks a decoder; export it again and drop the new file"


class TemporaryError(JobError):
    """Trying again later may help; ``refund`` says that the attempt does not count."""

    code = "temporary"
    refund: ClassVar[bool] = False


class Truncated(TemporaryError):
    code = "truncated"
    default_hint = "the file ends too early; copy it again"


class OutOfMemory(TemporaryError):
    code = "out_of_memory"
    default_hint = "lower limits.max_pixels or close other programs"


class GpuOutOfMemory(OutOfMemory):
    """A batch did not fit on the GPU. All batches have the planned size: no photo is to blame."""

    code = "gpu_out_of_memory"
    refund = True
    default_hint = "the plan is lowered; close other programs that use the GPU"


class InferenceFailed(TemporaryError):
    code = "inference_failed"


class InternalFault(TemporaryError):
    code = "internal"
    default_hint = "please report it with the log"


class Blocked(TemporaryError):
    """The surroundings are at fault, not the photo: its attempt is refunded."""

    code = "blocked"
    refund = True


class SourceChanged(Blocked):
    code = "source_changed"


class SourceUnreadable(Blocked):
    code = "source_unreadable"
    default_hint = "give the service's user the right to read it"


class DiskFull(Blocked):
    code = "disk_full"
    default_hint = "free some space; work goes on by itself"


class FolderUnavailable(Blocked):
    code = "folder_unavailable"
    default_hint = "mount the folder or correct its rights; work goes on by itself"


class DeviceLost(Blocked):
    """An error of the GPU that outlives the call: every further one in this process fails too."""

    code = "device_lost"
    default_hint = "a new engine is started; if it comes back, check the driver and the card"
