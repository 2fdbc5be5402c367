"""Asking a running appliance through its HTTP interface."""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from edge_matting.cli.settings import read_settings
from edge_matting.config import Settings
from edge_matting.status.security import read_token

TIMEOUT_SECONDS = 10.0


class NoAnswer(Exception):
    """Nobody answered at the address, or not like an appliance."""


class Refused(Exception):
    """The appliance refused; the message is its own."""


@dataclass(frozen=True, slots=True)
class Remote:
    """An appliance at an address."""

    url: str
    token: str | None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Remote:
        """The address that ``--url`` or the configuration names, with the right to act."""
        settings = read_settings(options)
        file = settings.status.token_file
        return cls.at(settings, options.url, token=None if file is None else read_token(file))

    @classmethod
    def at(cls, settings: Settings, url: str | None = None, *, token: str | None = None) -> Remote:
        """``url`` or the address of the settings; without a token it may only be asked."""
        status = settings.status
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(status.host, status.host)  # noqa: S104
        return cls((url or f"http://{host}:{status.port}").rstrip("/"), token)

    def get(self, path: str) -> Any:
        return self._ask(path, None, {})

    def ready(self) -> bool:
        """Whether /readyz says 200."""
        try:
            self.get("/readyz")
        except Refused:
            return False
        return True

    def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "X-Requested-With": "edge-matting"}
        data = json.dumps(body).encode()
        return self._ask(path, data, headers)

    def _ask(self, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
        """GET, or POST where there is ``data``; the answer's JSON."""
        if not self.url.startswith(("http://", "https://")):
            raise NoAnswer(f"{self.url}: expected an address that begins with http://")
        # The scheme was checked just above: no file: and no custom scheme gets here.
        request = urllib.request.Request(self.url + path, data=data, headers=headers)  # noqa: S310
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(_message(error)) from error
        except (OSError, ValueError) as error:
            raise NoAnswer(f"{self.url}: no answer: {getattr(error, 'reason', error)}") from error


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {HTTPStatus(error.code).phrase}"
