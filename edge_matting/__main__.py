"""``python -m edge_matting``."""

import sys

from edge_matting.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
