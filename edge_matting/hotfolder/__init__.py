"""A folder's way to settled source files: scan, watch, settle."""
