"""What hardware this is (facts) and how it feels (readings), under an injectable root."""

from edge_matting.device.probe import probe_device
from edge_matting.device.system import System
from edge_matting.device.vitals import VitalsReader

__all__ = ["System", "VitalsReader", "probe_device"]
