"""Exit statuses of the engine process, read by the daemon."""

from typing import Final

CLEAN: Final = 0
FAULT: Final = 1
START_ERROR: Final = 2
"""It cannot start, and starting it again unchanged would not help."""

RECYCLE: Final = 75
"""It ended on purpose, to give its memory back."""

DEVICE_LOST: Final = 76
"""The GPU can no longer be used by that process; a new one is to be started. No photo is to
blame."""
