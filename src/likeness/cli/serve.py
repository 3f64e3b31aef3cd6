"""The command `likeness serve`: the app and the REST API."""

from __future__ import annotations

import os
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.arguments import MaybeInt, MaybePath
from likeness.errors import printable
from likeness.extras import import_extra
from likeness.files import check_writable
from likeness.serve import Limits
from likeness.serve.limits import MIB


@dataclass
class Serve:
    """An app in the browser and a REST API: drop photos, heads appear (extra `serve`)."""

    host: str = "127.0.0.1"
    """Address to listen at; 127.0.0.1: only this machine reaches it, 0.0.0.0: every one that can reach this one."""
    port: int = 8080
    """Port to listen at; 0: any that is free."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the server is called, besides localhost and IP addresses."""
    open: bool = False
    """Open the page in a browser."""
    keep: MaybePath = None
    """Folder for heads that users ask to keep. Without, nothing of what is uploaded or made is ever written."""
    max_photo_mb: float = 25.0
    """Largest photo that is taken, MiB."""
    max_megapixels: float = 50.0
    """Largest photo that is taken, millions of pixels."""
    max_faces: int = 10
    """Heads that are made of one photo, at most."""
    max_seconds: float = 120.0
    """Time limit for one photo, seconds."""
    max_upload_seconds: float = 60.0
    """Time limit for a request to arrive, seconds."""
    jobs: int = 1
    """Photos that are worked on at a time, each by a process of its own."""
    threads: MaybeInt = None
    """CPU threads of the network, in each process; default: the CPUs shared by the jobs."""
    max_waiting: int = 32
    """Photos that wait for their turn, at most."""
    max_connections: int = 128
    """Open connections, at most."""
    max_sessions: int = 32
    """Users at a time."""
    max_heads: int = 100
    """Heads (and photos) that a session keeps, at most."""
    max_memory_mb: float = 2048.0
    """What all sessions together keep in memory, MiB."""
    session_minutes: float = 60.0
    """Minutes without a request after which a session and its heads are deleted."""
    min_score: float = 0.9
    """Drop faces whose chance of being one is below this (0 to 1)."""
    model: MaybePath = None
    """Another face model (.npz) than the embedded one."""
    network: MaybePath = None
    """Another regressor (.onnx) than the embedded one."""
    verbose: bool = False
    """Print a line for every request (never what is in it)."""


def limits_of(settings: Serve) -> Limits:
    """The limits that the options say."""
    return Limits(
        photo_bytes=int(settings.max_photo_mb * MIB),
        pixels=int(settings.max_megapixels * 1e6),
        faces=settings.max_faces,
        upload_seconds=settings.max_upload_seconds,
        work_seconds=settings.max_seconds,
        jobs=settings.jobs,
        queue=settings.max_waiting,
        connections=settings.max_connections,
        sessions=settings.max_sessions,
        session_heads=settings.max_heads,
        session_seconds=60 * settings.session_minutes,
        memory_bytes=int(settings.max_memory_mb * MIB),
    )


def serve(settings: Serve) -> int:
    """Run ``likeness serve``; returns the exit code. Ctrl-C is KeyboardInterrupt, once the server has ended."""
    limits = limits_of(settings)
    if settings.keep is not None:
        check_writable(settings.keep)
    for name in ("fastapi", "uvicorn", "python_multipart"):
        import_extra(name, "the app", "serve")
    from likeness.serve import run_server
    from likeness.serve.studio import Studio

    studio = Studio(_options(settings), limits, None if settings.keep is None else Path(settings.keep))

    def ready(address: str) -> None:
        print(f"likeness: {printable(address)} (Ctrl-C ends it)", flush=True)
        if settings.host not in ("127.0.0.1", "::1", "localhost"):
            print(
                "likeness: others can reach this server; it has no passwords and no encryption of its own: "
                "put a proxy with both in front of it",
                file=sys.stderr,
            )
        if settings.open:
            webbrowser.open(address)

    run_server(studio, settings.host, settings.port, settings.allowed_hosts, ready, settings.verbose)
    return 0


def _options(settings: Serve) -> dict[str, Any]:
    """What a reconstructor of each process is opened with."""
    shared = max((os.cpu_count() or 1) // settings.jobs, 1)
    return {
        "model": settings.model,
        "network": settings.network,
        "min_score": settings.min_score,
        "threads": shared if settings.threads is None else settings.threads,
    }
