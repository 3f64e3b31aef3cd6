"""The application: routes, what goes before them, and what ends with the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from likeness.serve import routes_heads, routes_identities
from likeness.serve.answers import COOKIE, TheSession, TheStudio, token_of
from likeness.serve.guard import Guard
from likeness.serve.page import page_routes
from likeness.serve.problems import KINDS, MEDIA_TYPE, Problem, told_bad_value, told_bug, told_problem
from likeness.serve.studio import Studio
from likeness.version import __version__

SWEEP_SECONDS = 15.0
"""How often sessions that nobody uses are looked for."""

DESCRIPTION = """Photographs in, rigged 3D heads out. Errors are `application/problem+json` (RFC 9457).
Nothing that is sent stays once its session has ended; without a session, nothing stays at all."""

PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457)",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                    },
                }
            }
        },
    }
}

router = APIRouter(prefix="/v1")


def create_app(studio: Studio, hosts: Collection[str] = (), *, warm: bool = True) -> FastAPI:
    """The application, for ``uvicorn`` or a test's client.

    Args:
        studio: its state; it is ended with the application.
        hosts: names by which the server is called, besides ``localhost`` and IP addresses.
        warm: start the first process that makes heads before the first request.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if warm:
            await asyncio.to_thread(studio.pool.warm_up)
        sweep = asyncio.get_running_loop().create_task(_sweep(studio))
        try:
            yield
        finally:
            sweep.cancel()
            await studio.end()

    app = FastAPI(
        title="likeness",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses=PROBLEM,
    )
    app.state.studio = studio
    for one in (router, routes_heads.router, routes_identities.router):
        app.include_router(one)
    app.router.routes.extend(page_routes())
    app.add_exception_handler(HTTPException, told_problem)
    app.add_exception_handler(RequestValidationError, told_bad_value)
    app.add_exception_handler(Exception, told_bug)
    app.add_middleware(Guard, limits=studio.limits, hosts=hosts)
    return app


async def _sweep(studio: Studio) -> None:
    """Drop old sessions, for as long as the server runs."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        studio.sessions.drop_old()


@router.get("", summary="What this server is")
async def read_service(studio: TheStudio) -> JSONResponse:
    """Version, limits, and whether heads can be kept."""
    return JSONResponse(
        {
            "version": __version__,
            "model": studio.model.name,
            "limits": studio.limits.to_dict(),
            "keeps": studio.keep is not None,
            "description": "/v1/openapi.json",
        }
    )


@router.get("/problems/{kind}", summary="What a kind of problem means")
async def read_problem(kind: str) -> JSONResponse:
    """Status and title of a kind of problem, which the ``type`` of an answer links to."""
    if kind not in KINDS:
        raise Problem("not-found", "There is no such kind of problem.")
    status, title = KINDS[kind]
    return JSONResponse({"status": status, "title": title})


@router.post("/sessions", summary="Start a session", status_code=201)
async def start_session(request: Request, studio: TheStudio) -> JSONResponse:
    """Photos and heads stay in a session until it ends or nobody has used it for a while.

    The answer has the session's token, for ``Authorization: Bearer``, and sets it as a cookie. A browser that is in a
    session already stays in it.
    """
    session = studio.sessions.of(token_of(request) or "") or studio.sessions.start()
    answer = JSONResponse({"token": session.token, "seconds": studio.limits.session_seconds}, 201)
    answer.set_cookie(
        COOKIE, session.token, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
    )
    return answer


@router.get("/session", summary="What is in the session")
async def read_session(session: TheSession, studio: TheStudio) -> JSONResponse:
    """How many photos and heads there are, and the bytes that they take, about."""
    return JSONResponse(
        {
            "photos": len(session.photos),
            "heads": len(session.heads),
            "bytes": session.size,
            "seconds": studio.limits.session_seconds,
            "jobs": [job.to_dict() for job in session.jobs.values() if not job.is_done],
        }
    )


@router.delete("/session", summary="End the session", status_code=204)
async def end_session(session: TheSession, studio: TheStudio) -> Response:
    """Everything in it is gone at once."""
    studio.sessions.drop(session)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/")
    return answer
