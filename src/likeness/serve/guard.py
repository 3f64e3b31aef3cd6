"""What every request passes first: is it meant for us, does a page of ours send it, is it small and quick enough?

A server on 127.0.0.1 can be reached by every page that the user's browser shows. Two ways of misuse are closed here:
a name of an attacker's that leads to 127.0.0.1 (DNS rebinding) is no name of ours, and what another site's page sends
(cross-site request forgery) says so in ``Origin`` or ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from likeness.serve.limits import MIB, Limits
from likeness.serve.problems import Problem, busy

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self' blob: data:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Scripts and styles come from this server's files only; ``blob:`` is for pictures within GLB files."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

JSON_BYTES = MIB
"""Of a request that carries no photo."""

FORM_BYTES = 1 << 16
"""What a form adds to a photo."""


class Guard:
    """An ASGI application around another.

    Args:
        app: the other.
        limits: of bytes and time.
        hosts: names that the server has besides ``localhost`` and IP addresses (which no rebinding can lead here).
    """

    def __init__(self, app: ASGIApp, limits: Limits, hosts: Collection[str] = ()) -> None:
        self.app, self.limits = app, limits
        self.hosts = {"localhost", *(host.lower() for host in hosts)}
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_security_headers(send, scope["path"])
        try:
            headers = Headers(scope=scope)
            self._check_host(headers)
            _check_origin(headers, scope["method"])
            if self._active >= self.limits.connections:
                raise busy(f"{self._active} requests are under way, the most that may be; try again in a while.")
            receive = self._bounded(receive, headers, scope)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        self._active += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._active -= 1

    def _check_host(self, headers: Headers) -> None:
        name = _host_name(headers.get("host", ""))
        if name in self.hosts or _is_address(name):
            return
        raise Problem(
            "wrong-host",
            "This server is not known by the name in the address; who starts it can add it with --allowed-hosts.",
        )

    def _bounded(self, receive: Receive, headers: Headers, scope: Scope) -> Receive:
        """The request's body, which ends with a problem where it is too large or too slow."""
        takes_photo = scope["method"] == "POST" and scope["path"] == "/v1/heads"
        most = self.limits.photo_bytes + FORM_BYTES if takes_photo else JSON_BYTES
        told = headers.get("content-length", "0")
        if not told.isdigit():
            raise Problem("bad-request", "The length of the request is no number.")
        problem = Problem(
            "too-large", f"The request is larger than {most / MIB:.1f} MiB, the most that is taken here."
        )
        if int(told) > most:
            raise problem
        began, size, ended = monotonic(), 0, False

        async def bounded() -> Message:
            nonlocal size, ended
            if ended:  # what comes now is that the other side has left, whenever that is
                return await receive()
            left = began + self.limits.upload_seconds - monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(left, 0.0))
            except asyncio.TimeoutError:
                limit = f"{self.limits.upload_seconds:.0f} seconds"
                raise Problem("too-slow", f"The request did not arrive within {limit}.") from None
            size += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if size > most:
                raise problem
            return message

        return bounded


def _check_origin(headers: Headers, method: str) -> None:
    """Refuse what pages of other sites send.

    A browser names the page's origin in all that can change something; ``null`` is nobody's. A link to the page from
    elsewhere stays possible.
    """
    origin = headers.get("origin")
    problem = Problem("wrong-origin", "Pages of other sites may not use this server.")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise problem
    navigates = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigates:
        raise problem


def _host_name(host: str) -> str:
    """The name in a ``Host`` header, without port and brackets; empty if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_security_headers(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending
