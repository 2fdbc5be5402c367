"""edge_matting: an offline image-matting appliance (hot folder in, clean cut-outs out)."""

__version__ = "0.2.0"
