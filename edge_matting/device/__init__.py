"""What hardware this is (facts) and how it feels (readings), under an injectable root."""

from edge_matting.device.probe import probe_device, read_vitals

__all__ = ["probe_device", "read_vitals"]
