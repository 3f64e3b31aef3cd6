"""Which form of an answer a client takes, and who asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request

from likeness.serve.heads import MEDIA_TYPES
from likeness.serve.problems import Problem
from likeness.serve.sessions import Session
from likeness.serve.studio import Studio

COOKIE = "likeness_session"


def accepted(request: Request, offered: Sequence[str]) -> str:
    """The best of the forms that are offered (suffixes, the first where all are as welcome) for ``Accept``
    (RFC 9110, 12.5.1).

    Raises:
        Problem: none of them.
    """
    wishes = [one.strip().split(";") for one in request.headers.get("accept", "*/*").lower().split(",")]

    def quality(form: str) -> float:
        major = MEDIA_TYPES[form].partition("/")[0]
        best = (-1, 0.0)
        for kind, *parameters in wishes:
            rank = {MEDIA_TYPES[form]: 2, f"{major}/*": 1, "*/*": 0}.get(kind.strip(), -1)
            given = next((one.strip()[2:] for one in parameters if one.strip().startswith("q=")), "1")
            try:
                best = max(best, (rank, float(given)), key=lambda pair: pair[0])
            except ValueError:
                raise Problem("bad-request", "The quality in Accept is no number.") from None
        return best[1] if best[0] >= 0 else 0.0

    form = max(offered, key=quality)
    if quality(form) <= 0:
        raise Problem("not-acceptable", f"It is given as {', '.join(MEDIA_TYPES[one] for one in offered)}.")
    return form


def studio_of(request: Request) -> Studio:
    """The server's state."""
    studio = request.app.state.studio
    assert isinstance(studio, Studio)
    return studio


def token_of(request: Request) -> str | None:
    """The session's secret, of the header or the cookie; None if there is neither."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        return token.strip() if scheme.lower() == "bearer" else ""
    return request.cookies.get(COOKIE)


async def maybe_session(request: Request) -> Session | None:
    """The session that a request names; None where it names none.

    Raises:
        Problem: it names one that is not there (any more).
    """
    token = token_of(request)
    if token is None:
        return None
    session = studio_of(request).sessions.of(token)
    if session is None:
        raise Problem("no-session", "The session has ended, and all that was in it is gone; start a new one.")
    return session


async def needed_session(session: Annotated[Session | None, Depends(maybe_session)]) -> Session:
    """The session that a request names.

    Raises:
        Problem: there is none.
    """
    if session is None:
        raise Problem("no-session", "This needs a session: POST /v1/sessions, then send its cookie or token.")
    return session


TheStudio = Annotated[Studio, Depends(studio_of)]
MaybeSession = Annotated[Session | None, Depends(maybe_session)]
TheSession = Annotated[Session, Depends(needed_session)]
