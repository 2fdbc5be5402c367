"""Where the outputs of a finished photo lie, so that the same bytes need no work at all.

Only a note: the outputs stay where they were published, and are checked by digest when copied.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from edge_matting.cache.entry import EntryDamaged, sealed, unsealed
from edge_matting.core.jobs import StoredResult
from edge_matting.core.result_json import result_from_json, result_to_json
from edge_matting.core.states import JobState

NOTE_SUFFIX: Final = ".result"

_FOLDER: Final = "results"


def note_name(sha256: str, recipe_key: str, model_sha256: str) -> str:
    """Where the note on these bytes lies below the cache's folder."""
    key = hashlib.sha256(f"{sha256}/{recipe_key}".encode()).hexdigest()
    return f"{model_sha256}/{_FOLDER}/{key}{NOTE_SUFFIX}"


def encode_note(stored: StoredResult) -> tuple[str, bytes]:
    """Name and bytes of the note; ``stored`` must know the root of its outputs."""
    result = stored.result
    name = note_name(result.sha256, result.recipe_key, result.model_sha256)
    note = {
        "name": name,
        "state": stored.state.value,
        "folder": stored.folder,
        "root": stored.root,
        "result": result_to_json(result),
    }
    return name, sealed(json.dumps(note).encode())


def decode_note(name: str, data: bytes) -> StoredResult:
    """The note called ``name``; ``EntryDamaged`` unless it is whole and of this version."""
    note: dict[str, Any] = json.loads(unsealed(data))
    if note["name"] != name:
        raise EntryDamaged(f"it was written as {note['name']}")
    try:
        result = result_from_json(note["result"])
    except (KeyError, TypeError, ValueError) as error:
        raise EntryDamaged(f"it was written by another version: {error}") from error
    return StoredResult(JobState(note["state"]), note["folder"], result, root=note["root"])
