"""Fingerprints of photos; the store of mattes is to come."""

from edge_matting.cache.fingerprint import content_digest

__all__ = ["content_digest"]
