"""What never changes, timed as a soak goes on: so that the machine's moods are not the appliance's.

Run as a program it is a page that gives the same answer for ever, and prints its port.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import final

RECORDS = [{"name": f"record {number}", "values": list(range(20))} for number in range(40)]
"""Writing them as JSON takes about as long as the status answer."""


@final
class ConstantPage:
    """A local server of its own process: what an answer costs here, whoever gives it.

    A processor that was idle wakes more slowly than one that is busy, and an answer waits for
    four such wakes; others make everything slower at times. Compressing and syncing a file was
    compared with before: the sync took 0.4 or 8 ms by the disk's mood, which the photos, with
    more than syncs to wait for, did not share.
    """

    def __enter__(self) -> ConstantPage:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/"
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def seconds(self) -> float:
        """Until its answer was read."""
        begin = time.perf_counter()
        with urllib.request.urlopen(self._url, timeout=10) as answer:
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
