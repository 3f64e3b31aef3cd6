"""The page: its frame lies beside this file, script and styles as ``make web`` built them.

Files are read once, so that no request reaches the disk.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import likeness.view
from likeness.files import digest

FRAME = Path(__file__).with_name("page")
BUILT = Path(likeness.view.__file__).with_name("built")
FILES = {
    "/": (FRAME / "index.html", "text/html; charset=utf-8"),
    "/icon.svg": (FRAME / "icon.svg", "image/svg+xml"),
    "/app.js": (BUILT / "app.js", "text/javascript; charset=utf-8"),
    "/app.css": (BUILT / "app.css", "text/css; charset=utf-8"),
}
"""Address -> file and media type."""


def page_routes() -> list[Route]:
    """A route for each file of the page."""
    return [_route(address, file.read_bytes(), media_type) for address, (file, media_type) in FILES.items()]


def _route(path: str, data: bytes, media_type: str) -> Route:
    headers = {"ETag": f'"{digest(data)[:16]}"', "Cache-Control": "no-cache"}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=media_type, headers=headers)

    return Route(path, answer, methods=["GET"])
