"""Identity of a photo's bytes."""

from __future__ import annotations

import hashlib


def content_digest(data: bytes) -> str:
    """SHA-256 of the bytes as 64 hex digits: identity, not similarity."""
    return hashlib.sha256(data).hexdigest()
