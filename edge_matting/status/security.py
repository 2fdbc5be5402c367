"""Who may see and do what over HTTP.

Everybody who reaches the port may read names and states: the status, the metrics and the job lists
without paths, process ids and digests (``redaction.py``). Those, actions and pictures (people's
photos) are for those who are *trusted*:

* with a token set: who shows it, as ``Authorization: Bearer TOKEN`` or by the cookie of a session
  that the page opens with it; from this machine too.
* without one: requests that come from this machine. A request with any header of those that
  proxies add counts as foreign; a proxy that hides that it is one needs a token to be set.

Host header, against DNS rebinding: an attacker's page can only make a browser send a *name* that
he controls, so any literal IP address is accepted, and of the names ``localhost``, the host set
as ``status.host`` and this machine's own name. There is deliberately no "any name".

Actions also ask for proof that no foreign page sent them: a header or content type that a
browser sends to a foreign site only after a preflight, which is never granted, and an Origin
that matches the Host.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from flask import Request, Response

from edge_matting.core.clock import Clock, SystemClock
from edge_matting.core.errors import ConfigError
from edge_matting.core.reasons import Reason
from edge_matting.status.interfaces import ActionRefused
from edge_matting.status.sessions import SESSION_SECONDS, Sessions
from edge_matting.status.token_attempts import TokenAttempts

log = logging.getLogger(__name__)

COOKIE = "edge_matting_session"
MIN_TOKEN_LENGTH = 16  # long enough that guessing over the network is hopeless

DELAY_KEY = "edge_matting.delay_seconds"
"""In the environment of a request: how long the server is to wait with its answer."""

_TRUSTED_KEY = "edge_matting.trusted"

FORWARDED = re.compile(
    r"forwarded|(^|-)via$|(client|real|connecting|remote|source|cluster|user|original)-?(ip|addr)|"
    r"^(x-)?(original|envoy|azure|amzn|amz|appengine|proxy)|^x-host$|"
    r"^(cf|cdn|fastly|fly|ali|akamai|true|wl|incap|sucuri|x-vercel|x-sucuri|x-arr|tailscale)-|"
    r"^x-(scheme|request-start|varnish|cache-forward)",
    re.IGNORECASE,
)
"""Names of headers that proxies and load balancers add; a client on this machine sends none."""

FIX = "chmod 600"

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
        others = path.stat().st_mode & 0o006
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"status.token_file: cannot read {path}: {error}") from error
    if others:
        log.warning("%s: every user of this machine may read or change the token: %s", path, FIX)
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
    """Decides about one request at a time."""

    token: str | None
    hosts: frozenset[str]
    sessions: Sessions
    attempts: TokenAttempts

    @classmethod
    def of(
        cls,
        token: str | None,
        hosts: Iterable[str],
        clock: Clock | None = None,
        sessions_file: Path | None = None,
    ) -> Guard:
        clock = clock or SystemClock()
        checked = None if token is None else check_token(token)
        return cls(
            checked,
            frozenset(host.lower() for host in hosts),
            Sessions(checked or "", clock, None if checked is None else sessions_file),
            TokenAttempts(clock),
        )

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
        """Whether the sender may act, see photos and read where things lie."""
        known: bool | None = request.environ.get(_TRUSTED_KEY)
        if known is None:  # asked several times, while a wrong token counts once
            known = request.environ[_TRUSTED_KEY] = self._trusts(request)
        return known

    def _trusts(self, request: Request) -> bool:
        if self.token is None:
            return is_loopback(request.remote_addr) and not was_forwarded(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(request, given.strip())
        return self.sessions.knows(request.cookies.get(COOKIE, ""))

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

    def log_in(self, request: Request, given: object) -> str:
        """Change the token for a new session; what the browser is to keep of it."""
        if not (isinstance(given, str) and self._is_token(request, given.strip())):
            raise ActionRefused("wrong_token", Reason("token_wrong"), HTTPStatus.UNAUTHORIZED)
        return self.sessions.open()

    def _is_token(self, request: Request, given: str) -> bool:
        if self.token is not None and _same(given, self.token):
            return True
        if given:
            request.environ[DELAY_KEY] = self.attempts.wrong(request.remote_addr or "")
        return False


def remember(response: Response, session: str) -> None:
    """Let the browser keep the session, which is not the token."""
    response.set_cookie(COOKIE, session, max_age=SESSION_SECONDS, httponly=True, samesite="Strict")


def was_forwarded(request: Request) -> bool:
    """Whether any header shows that a proxy stands between the sender and this machine."""
    return any(FORWARDED.search(name) for name in request.headers.keys())  # noqa: SIM118  werkzeug


def forget(response: Response) -> None:
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict")


def _same(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


def _cross_site(message: str) -> ActionRefused:
    return ActionRefused("cross_site", message, HTTPStatus.FORBIDDEN)
