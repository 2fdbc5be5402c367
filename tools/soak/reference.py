"""What never changes, timed as a soak goes on: so that the machine's moods are not the appliance's.

Run as a program it is a page that gives the same answer for ever, and prints its port.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RECORDS = [{"name": f"record {number}", "values": list(range(20))} for number in range(40)]
"""Writing them as JSON takes about as long as the status answer."""


@contextmanager
def constant_page() -> Iterator[Callable[[], float]]:
    """A local server of its own process; what it gives is the seconds until its answer was read.

    A processor that was idle wakes more slowly than one that is busy, and an answer waits for
    four such wakes; others make everything slower at times. Compressing and syncing a file was
    compared with before: the sync took 0.4 or 8 ms by the disk's mood, which the photos, with
    more than syncs to wait for, did not share.
    """
    command = (sys.executable, "-m", "tools.soak.reference")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield partial(_seconds, f"http://127.0.0.1:{int(server.stdout.readline())}/")
        finally:
            server.kill()


def _seconds(url: str) -> float:
    begin = time.perf_counter()
    with urllib.request.urlopen(url, timeout=10) as answer:
        answer.read()
    return time.perf_counter() - begin


class _Constant(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(RECORDS).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


def main() -> None:
    server = HTTPServer(("127.0.0.1", 0), _Constant)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
