"""``python -m edge_matting.engine``: started by the daemon, not by hand."""

import sys

from edge_matting.engine.main import main

if __name__ == "__main__":
    sys.exit(main())
