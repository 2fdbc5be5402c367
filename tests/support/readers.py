"""What another program sees in a picture that we wrote."""

from __future__ import annotations

import cv2
import numpy as np


def with_opencv(data: bytes) -> np.ndarray:
    """H x W, H x W x 3 (RGB) or H x W x 4 (RGBA), as deep as it was written."""
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read is not None
    if read.ndim == 2:
        return read
    return cv2.cvtColor(read, cv2.COLOR_BGRA2RGBA if read.shape[2] == 4 else cv2.COLOR_BGR2RGB)
