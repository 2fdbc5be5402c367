"""Everything the appliance can say went wrong.

::

    EdgeMattingError
    ├── ConfigError            the settings are wrong: exit status 2
    ├── StartError             no start is possible (lock, port, no runtime): exit status 2
    ├── JobSourceError         where jobs come from cannot be used
    │   └── LedgerError        it is the ledger
    │       └── LedgerCorrupt  its file is damaged: set it aside and rebuild it
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
        │   ├── UnfitModel
        │   └── EngineCrashed
        └── TemporaryError     trying again may help
            ├── Truncated
            ├── OutOfMemory
            │   └── GpuOutOfMemory    not the photo's fault: the attempt is refunded
            ├── InferenceFailed
            ├── InternalFault      a mistake of ours; its traceback is in the log
            ├── PathRefused        the file system refuses this one file or folder
            └── Blocked        not the photo's fault: the attempt is refunded
                ├── SourceChanged
                ├── SourceGrows        it ends too early and somebody may still be writing it
                ├── SourceUnreadable
                ├── ResourcesShort     too few descriptors, no memory in the kernel
                ├── JobSourceUnavailable
                ├── DiskFull
                ├── FolderUnavailable
                └── DeviceLost     the GPU is lost to this process; a new one is started

Two words decide every retry: permanent and temporary. A message says what happened and to
which file; ``hint`` says what to do next.
"""

from __future__ import annotations

from typing import ClassVar

from edge_matting.core.reasons import Reason


class EdgeMattingError(Exception):
    """Base of all errors the appliance raises on purpose."""

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = ""
    trouble: ClassVar[str] = ""
    """Code of the reason that says what it means for the appliance; "": the message says it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    @property
    def what(self) -> Reason:
        """As ``str``, for people of any language."""
        return self._hinted(Reason.of(self.message))

    @property
    def reason(self) -> Reason:
        """What it means for the appliance, and what to do next."""
        what = Reason.of(self.message)
        return self._hinted(Reason(self.trouble, why=what) if self.trouble else what)

    def _hinted(self, what: Reason) -> Reason:
        return Reason("with_hint", what=what, hint=self.hint) if self.hint else what


class ConfigError(EdgeMattingError):
    """The configuration is wrong; ``faults`` holds one ``path.to.key: what`` line per fault."""

    code = "config"

    def __init__(self, message: str, *, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults or (message,)


class StartError(EdgeMattingError):
    """The appliance cannot start, and starting again unchanged would not help."""

    code = "start"


class JobSourceError(EdgeMattingError):
    """No job can be had, or no outcome be recorded; nothing has changed."""

    code = "job_source"
    trouble = "job_source_unusable"


class LedgerError(JobSourceError):
    """The ledger cannot be opened or breaks its own rules."""

    code = "ledger"
    trouble = "ledger_unusable"


class LedgerCorrupt(LedgerError):
    """The ledger's file is damaged; what it knew can be found again by a rescan."""

    code = "ledger_corrupt"
    default_hint = Reason("hint_ledger_corrupt")


class ModelError(EdgeMattingError):
    """A model is missing, altered, or its manifest is wrong."""

    code = "model"
    trouble = "model_unusable"


class SessionError(EdgeMattingError):
    """The inference runtime could not load or run the model."""

    code = "session"
    trouble = "session_refused"


class SelfTestFailed(SessionError):
    """A session runs, but does not give the built-in photo its known matte."""

    code = "self_test"
    trouble = "self_test_failed"
    default_hint = Reason("hint_self_test")


class JobError(EdgeMattingError):
    """One photo could not be done."""

    code = "job"


class PermanentError(JobError):
    """Trying the same bytes again cannot help."""

    code = "permanent"


class NotAnImage(PermanentError):
    code = "not_an_image"
    default_hint = Reason("hint_not_an_image")


class Unsupported(PermanentError):
    code = "unsupported"
    default_hint = Reason("hint_unsupported")


class TooLarge(PermanentError):
    code = "too_large"
    default_hint = Reason("hint_too_large")


class TooSlow(PermanentError):
    """Decoding it takes, or would take, far more time than its size explains."""

    code = "too_slow"
    default_hint = Reason("hint_too_slow")


class SourceGone(PermanentError):
    code = "source_gone"
    default_hint = Reason("hint_source_gone")


class UnfitParameters(PermanentError):
    """The parameters that the photo was sent with do not fit its recipe as it is now."""

    code = "unfit_parameters"
    default_hint = Reason("hint_unfit_parameters")


class UnfitModel(PermanentError):
    """The model asked for is gone, cannot be used, or is for another task than the recipe."""

    code = "unfit_model"
    default_hint = Reason("hint_unfit_model")


class EngineCrashed(PermanentError):
    """The engine process died each time this photo was alone in it."""

    code = "engine_crashed"
    default_hint = Reason("hint_engine_crashed")


class TemporaryError(JobError):
    """Trying again later may help; ``refund`` says that the attempt does not count."""

    code = "temporary"
    refund: ClassVar[bool] = False


class Truncated(TemporaryError):
    code = "truncated"
    default_hint = Reason("hint_truncated")


class OutOfMemory(TemporaryError):
    code = "out_of_memory"
    default_hint = Reason("hint_out_of_memory")


class GpuOutOfMemory(OutOfMemory):
    """A batch did not fit on the GPU. All batches have the planned size: no photo is to blame."""

    code = "gpu_out_of_memory"
    refund = True
    default_hint = Reason("hint_gpu_out_of_memory")


class InferenceFailed(TemporaryError):
    code = "inference_failed"


class InternalFault(TemporaryError):
    code = "internal"
    default_hint = Reason("hint_internal")


class PathRefused(TemporaryError):
    """The operating system refuses an act on one file or folder, and would do others."""

    code = "path_refused"
    default_hint = Reason("hint_path_refused")


class Blocked(TemporaryError):
    """The surroundings are at fault, not the photo: its attempt is refunded."""

    code = "blocked"
    refund = True


class SourceChanged(Blocked):
    code = "source_changed"


class SourceGrows(Blocked):
    code = "source_grows"
    default_hint = Reason("hint_source_grows")


class ResourcesShort(Blocked):
    code = "resources_short"
    default_hint = Reason("hint_resources_short")


class JobSourceUnavailable(Blocked):
    """The ledger, or another source of jobs, could not be asked while the photo was in work."""

    code = "job_source_unavailable"


class SourceUnreadable(Blocked):
    code = "source_unreadable"
    default_hint = Reason("hint_source_unreadable")


class DiskFull(Blocked):
    code = "disk_full"
    default_hint = Reason("hint_disk_full")


class FolderUnavailable(Blocked):
    code = "folder_unavailable"
    default_hint = Reason("hint_folder_unavailable")


class DeviceLost(Blocked):
    """An error of the GPU that outlives the call: every further one in this process fails too."""

    code = "device_lost"
    default_hint = Reason("hint_device_lost")
