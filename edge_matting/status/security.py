"""Who may see and do what over HTTP.

Everybody who reaches the port may read the status, the metrics and the job lists. Actions and
previews (people's photos) are for those who are *trusted*:

* with a token set: who shows it, as ``Authorization: Bearer TOKEN`` or by the cookie that the
  page gets for it; from this machine too.
* without one: requests that come from this machine. A request that a proxy forwarded counts as
  foreign; a proxy that hides that it is one needs a token to be set.

Host header, against DNS rebinding: an attacker's page can only make a browser send a *name* that
he controls, so any literal IP address is accepted, and of the names ``localhost``, the host set
as ``status.host`` and this machine's own name. There is deliberately no "any name".

Actions also ask for proof that no foreign page sent them: a header or content type that a
browser sends to a foreign site only after a preflight, which is never granted, and an Origin
that matches the Host.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from flask import Request, Response

from edge_matting.core.errors import ConfigError
from edge_matting.status.interfaces import ActionRefused

COOKIE = "edge_matting_session"
COOKIE_SECONDS = 30 * 24 * 3600
MIN_TOKEN_LENGTH = 16  # long enough that guessing over the network is hopeless
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-ModelLoader-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def read_token(path: Path, environ: Mapping[str, str] = os.environ) -> str:
    """The token in ``path``, surrounding white space removed.

    Under systemd the file may be root's alone: then the unit's credential of the same name is
    read (LoadCredential=, systemd.exec(5)).
    """
    credential = Path(environ.get("CREDENTIALS_DIRECTORY", ""), path.name)
    if "CREDENTIALS_DIRECTORY" in environ and credential.is_file():
        path = credential
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"status.token_file: cannot read {path}: {error}") from error
    return check_token(token)


def check_token(token: str) -> str:
    """The token itself; ``ConfigError`` where it would protect nothing."""
    if len(token) < MIN_TOKEN_LENGTH or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            f"status.token_file: needs {MIN_TOKEN_LENGTH} or more plain ASCII characters on one "
            "line; make one with: openssl rand -hex 24"
        )
    return token


def usual_hosts(configured: str) -> frozenset[str]:
    """Names under which a browser may ask for the page of a server bound to ``configured``."""
    own = socket.gethostname().lower()
    return frozenset({"localhost", configured.lower(), own, f"{own}.local"})


def is_loopback(address: str | None) -> bool:
    try:
        ip = ip_address(address or "")
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        return ip.ipv4_mapped.is_loopback
    return ip.is_loopback


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides about one request at a time; keeps no state of its own."""

    token: str | None
    hosts: frozenset[str]

    @classmethod
    def of(cls, token: str | None, hosts: Iterable[str]) -> Guard:
        checked = None if token is None else check_token(token)
        return cls(checked, frozenset(host.lower() for host in hosts))

    def check_host(self, request: Request) -> None:
        """Refuse a request that was meant for another name."""
        try:
            name = urlsplit("//" + request.environ.get("HTTP_HOST", "")).hostname or ""
        except ValueError:
            name = ""
        name = name.removesuffix(".")
        if not (name in self.hosts or _is_ip(name)):
            raise ActionRefused(
                "wrong_host",
                "this name is not mine; use localhost, an IP address, or set status.host",
                HTTPStatus.MISDIRECTED_REQUEST,
            )

    def trusts(self, request: Request) -> bool:
        """Whether the sender may act and see photos."""
        if self.token is None:
            forwarded = any(name in request.headers for name in FORWARDED)
            return is_loopback(request.remote_addr) and not forwarded
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        return _same(request.cookies.get(COOKIE, ""), self._cookie())

    def check_trusted(self, request: Request) -> None:
        if self.trusts(request):
            return
        if self.token is None:
            raise ActionRefused(
                "local_only",
                "only from the appliance itself while no token is set; set status.token_file",
                HTTPStatus.FORBIDDEN,
            )
        raise ActionRefused(
            "token_needed",
            "send the token as 'Authorization: Bearer TOKEN' or enter it on the page",
            HTTPStatus.UNAUTHORIZED,
        )

    def check_same_site(self, request: Request) -> None:
        """Refuse what a foreign page could have made a browser send."""
        origin = request.headers.get("Origin")
        own = request.environ.get("HTTP_HOST", "").lower()
        if origin is not None and origin.lower() not in (f"http://{own}", f"https://{own}"):
            raise _cross_site("the Origin is not this page; a proxy must pass the Host on")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise _cross_site("sent by a page of another site")
        marked = request.headers.get("X-Requested-With") == "edge-matting"
        if not (marked or request.is_json or "Authorization" in request.headers):
            raise _cross_site("send the header 'X-Requested-With: edge-matting'")

    def check_action(self, request: Request) -> None:
        """Only who is trusted may act, and only from our own page or a program."""
        self.check_same_site(request)
        self.check_trusted(request)

    def check_not_embedded(self, request: Request) -> None:
        """Refuse a download that a page of another site set off."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise _cross_site("asked for by a page of another site")

    def is_token(self, given: str) -> bool:
        return self.token is not None and _same(given, self.token)

    def remember(self, response: Response) -> None:
        """Let the browser keep a proof of the token that is not the token itself."""
        response.set_cookie(
            COOKIE, self._cookie(), max_age=COOKIE_SECONDS, httponly=True, samesite="Strict"
        )

    def _cookie(self) -> str:
        key = (self.token or "").encode()
        return hmac.new(key, b"edge-matting status page v1", hashlib.sha256).hexdigest()


def forget(response: Response) -> None:
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict")


def _same(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


def _cross_site(message: str) -> ActionRefused:
    return ActionRefused("cross_site", message, HTTPStatus.FORBIDDEN)
