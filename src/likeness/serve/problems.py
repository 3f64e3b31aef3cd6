"""What can go wrong with a request, said as RFC 9457 has it (``application/problem+json``).

Every ``detail`` is a plain sentence that the page shows as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

KINDS: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request cannot be understood."),
    "no-session": (401, "This needs a session."),
    "wrong-host": (403, "The server is not known by this name."),
    "wrong-origin": (403, "Another site may not use this server."),
    "not-found": (404, "There is nothing here."),
    "wrong-method": (405, "This cannot be done here."),
    "not-acceptable": (406, "It is not to be had in this form."),
    "too-slow": (408, "The request took too long to arrive."),
    "wrong-state": (409, "This cannot be done now."),
    "too-large": (413, "The request is too large."),
    "too-many-pixels": (413, "The photo has too many pixels."),
    "not-a-photo": (415, "This is no photo."),
    "bad-photo": (422, "The photo cannot be used."),
    "no-face": (422, "There is no face in the photo."),
    "bad-value": (422, "A value cannot be used."),
    "session-full": (429, "The session is full."),
    "busy": (503, "The server is busy."),
    "memory-full": (503, "The server's memory is full."),
    "worker-ended": (500, "The work on this ended."),
    "too-long": (504, "The work took too long."),
    "internal": (500, "Something went wrong in the server."),
}
"""Kinds of problems: status and title."""


class Problem(HTTPException):
    """A request that is refused, or work that failed.

    Args:
        kind: of :data:`KINDS`.
        detail: a plain sentence: what is wrong, and what would be right.
        headers: of the response.
    """

    def __init__(self, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        status, self.title = KINDS[kind]
        super().__init__(status, detail, dict(headers or {}))
        self.kind = kind

    def to_dict(self) -> dict[str, Any]:
        """The members of RFC 9457."""
        return {
            "type": f"/v1/problems/{self.kind}",
            "title": self.title,
            "status": self.status_code,
            "detail": self.detail,
        }

    def response(self) -> Response:
        """The answer to the request."""
        return Response(json.dumps(self.to_dict()), self.status_code, self.headers or {}, MEDIA_TYPE)


def sentence(reason: str, start: str = "The photo") -> str:
    """A reason of this package (a clause without a subject) as a sentence."""
    text = " ".join(reason.split()).strip()
    return f"{start} {text}" + ("" if text.endswith(".") else ".")


def busy(detail: str) -> Problem:
    """A problem that is over in a while."""
    return Problem("busy", detail, {"Retry-After": "5"})


OF_STATUS = {400: "bad-request", 404: "not-found", 405: "wrong-method", 406: "not-acceptable", 413: "too-large"}


async def told_problem(request: Request, error: Exception) -> Response:
    """The answer to a request that is refused by us or by the framework."""
    if isinstance(error, Problem):
        return error.response()
    assert isinstance(error, HTTPException)
    kind = OF_STATUS.get(error.status_code, "bad-request")
    known = {"not-found": "There is nothing at this address.", "wrong-method": "This address takes other methods."}
    problem = Problem(kind, known.get(kind, "The request cannot be understood."), error.headers)
    return problem.response()


async def told_bad_value(request: Request, error: Exception) -> Response:
    """The answer to values that are not what the API's description says."""
    first = error.errors()[0]  # type: ignore[attr-defined]  # FastAPI's RequestValidationError
    place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    reason = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
    return Problem("bad-value", f"The value of {place} cannot be used: {reason}.").response()


async def told_bug(request: Request, error: Exception) -> Response:
    """The answer where the server itself is wrong; what happened is in its log, not in the answer."""
    return Problem("internal", "Something went wrong in the server; its log says what.").response()
