"""A server until Ctrl-C."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection

import uvicorn

from likeness.errors import LikenessError
from likeness.serve.app import create_app
from likeness.serve.studio import Studio

PATIENCE = 3
"""Seconds for answers that are under way when the server ends."""

KEEP_ALIVE = 15


def run_server(
    studio: Studio, host: str, port: int, hosts: Collection[str], ready: Callable[[str], None], verbose: bool = False
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        studio: its state.
        host: address or name to listen at; ``0.0.0.0``: on all of the machine's addresses.
        port: 0: any that is free.
        hosts: names by which the server may be called, besides ``localhost``, IP addresses and ``host``.
        ready: is called with the page's address once the server answers.
        verbose: log every request (address, method, path; never content).

    Raises:
        LikenessError: the address cannot be listened at, or no process that makes heads can start.
        KeyboardInterrupt: Ctrl-C, once all has ended.
    """
    listener = _listener(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}/"
    app = create_app(studio, {*hosts, host}, warm=False)
    config = uvicorn.Config(
        app,
        log_level="info" if verbose else "warning",
        access_log=verbose,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=PATIENCE,
        limit_concurrency=2 * studio.limits.connections,  # idle ones too; the guard counts requests, and explains
        server_header=False,
        h11_max_incomplete_event_size=1 << 16,
    )
    studio.pool.warm_up()
    with listener:
        try:
            _Server(config, lambda: ready(address)).run([listener])
        finally:
            studio.pool.end()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if _is_version_6(host) else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LikenessError(
            f"cannot listen at {host}, port {port} ({reason}); expected a free one (--port)"
        ) from error
    return listener


def _is_version_6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
