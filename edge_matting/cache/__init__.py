"""Fingerprints of photos, and the store of mattes that answers for photos seen before."""

from edge_matting.cache.entry import EntryDamaged
from edge_matting.cache.fingerprint import Fingerprint, content_digest, fingerprint_of
from edge_matting.cache.mattes import RESULTS, Answer, Answers, MatteCache
from edge_matting.cache.verify import Distances, Limits

__all__ = [
    "RESULTS",
    "Answer",
    "Answers",
    "Distances",
    "EntryDamaged",
    "Fingerprint",
    "Limits",
    "MatteCache",
    "content_digest",
    "fingerprint_of",
]
