"""Fingerprints of photos, and the store of mattes that answers for photos seen before."""

from edge_matting.cache.entry import EntryDamaged
from edge_matting.cache.fingerprint import Fingerprint, content_digest, fingerprint_of
from edge_matting.cache.matte_cache import CacheLookup, MatteCache
from edge_matting.cache.verify import Distances, MatchTolerances

__all__ = [
    "CacheLookup",
    "Distances",
    "EntryDamaged",
    "Fingerprint",
    "MatchTolerances",
    "MatteCache",
    "content_digest",
    "fingerprint_of",
]
