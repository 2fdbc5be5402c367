"""A matte as anybody would make it with onnxruntime and a model's documentation at hand.

Run as ``python tests/by_hand.py MODEL PHOTO ALPHA.png``: for models that want RGB / 255, stretched
to their size, and whose first output is the alpha.
"""

import sys

import cv2
import numpy as np
import onnxruntime


def alpha_by_hand(session: onnxruntime.InferenceSession, photo: str) -> np.ndarray:
    """The matte at the photo's size, H x W float32 in [0, 1]."""
    spec, output = session.get_inputs()[0], session.get_outputs()[0].name
    channels_last = spec.shape[3] == 3
    height, width = spec.shape[1:3] if channels_last else spec.shape[2:4]
    rgb = cv2.cvtColor(cv2.imread(photo), cv2.COLOR_BGR2RGB)
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    batch = small[np.newaxis] if channels_last else small.transpose(2, 0, 1)[np.newaxis]
    alpha = np.squeeze(session.run([output], {spec.name: np.ascontiguousarray(batch)})[0])
    return cv2.resize(alpha.clip(0, 1), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)


if __name__ == "__main__":
    model = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    cv2.imwrite(sys.argv[3], np.rint(alpha_by_hand(model, sys.argv[2]) * 255).astype(np.uint8))
