"""``/v1/heads``, ``/v1/people``, ``/v1/comparison``, ``/v1/jobs``: photos in, heads out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from likeness.reconstruct.comparison import compare
from likeness.serve.answers import MaybeSession, TheSession, TheStudio, accepted
from likeness.serve.bodies import uploaded_photo
from likeness.serve.heads import FORMATS, MEDIA_TYPES, Head, archive
from likeness.serve.jobs import Job
from likeness.serve.problems import Problem
from likeness.serve.sessions import Session

router = APIRouter(prefix="/v1")

PHOTO_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": {"photo": {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

GIVEN_AS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The heads, best first; as a binary file the best, as a zip all.",
        "content": {
            MEDIA_TYPES[form]: {"schema": {"type": "string", "format": "binary"}} for form in ("glb", "obj", "zip")
        },
    }
}


@router.post("/heads", summary="Photo in, heads out", openapi_extra=PHOTO_BODY, responses=GIVEN_AS)
async def make_heads(
    request: Request,
    studio: TheStudio,
    session: MaybeSession,
    title: Annotated[str | None, Query(max_length=200, description="what to call the photo")] = None,
    faces: Annotated[int, Query(ge=1, le=100, description="make heads of that many faces, the best ones")] = 10,
    texture: Annotated[int, Query(description="side of the texture: 0, 512, 1024 or 2048")] = 1024,
) -> Response:
    """A photo's faces become heads. With a session they stay in it; without, nothing is kept once it is answered.

    ``Accept`` chooses JSON, GLB, OBJ (of the best face) or a zip of everything. With ``Prefer: respond-async`` the
    answer is 202 and a job at once, which ``/v1/jobs/{id}/events`` tells of.
    """
    if texture not in (0, 512, 1024, 2048):
        raise Problem("bad-value", f"The texture's side is 0, 512, 1024 or 2048, not {texture}.")
    form = accepted(request, ("json", "glb", "obj", "zip"))
    data, name = await uploaded_photo(request, studio.limits, title)
    place = session or studio.temporary_session()
    job = studio.photo_job(place, name, data, faces, texture or None)
    if session is not None and _wants_job(request):
        return _job_answer(job)
    try:
        heads = await job.ended()
    finally:
        if session is None:
            place.dropped = True
    return _heads_answer(form, heads, job, session)


@router.get("/heads", summary="The session's heads")
async def list_heads(session: TheSession) -> JSONResponse:
    """All heads, in the order in which they were made."""
    return JSONResponse({"heads": [head.to_dict() for head in session.heads.values()]})


@router.get("/heads/{id}", summary="One head", responses=GIVEN_AS)
def read_head(request: Request, id: str, session: TheSession) -> Response:
    """A head as JSON, GLB, OBJ or zip, as ``Accept`` says."""
    head = session.head(id)
    form = accepted(request, ("json", "glb", "obj", "zip"))
    return JSONResponse(head.to_dict()) if form == "json" else _file(head.content(form), form)


@router.get("/heads/{id}/{file}", summary="A head's file", responses=GIVEN_AS)
def read_file(id: str, file: str, session: TheSession) -> Response:
    """``NAME.glb``, ``.obj``, ``.json``, ``.zip``, ``.pack`` (any name), ``portrait.jpg``, ``photo.jpg``,
    ``texture.jpg``."""
    head = session.head(id)
    pictures = {"portrait.jpg": head.portrait, "photo.jpg": session.photos[head.photo].preview}
    if head.skin is not None and file == "texture.jpg":
        pictures[file] = head.texture
    if file in pictures:
        return _file(pictures[file], "jpg")
    form = file.rpartition(".")[2]
    if form not in (*FORMATS, "zip", "pack"):
        raise Problem("not-found", "A head has no such file.")
    return _file(head.content(form), form, f"{head.file_name}.{form}")


@router.delete("/heads/{id}", status_code=204, summary="Forget a head")
async def delete_head(id: str, session: TheSession) -> Response:
    """The head is gone at once, and its photo with the last head of it."""
    session.forget(session.head(id).id)
    return Response(status_code=204)


@router.post("/heads/{id}/keep", summary="Keep a head on the server's disk")
def keep_head(id: str, session: TheSession, studio: TheStudio) -> JSONResponse:
    """Writes a head's files into the folder of ``--keep``, under a name of the server's own."""
    return JSONResponse({"name": studio.keep_head(session.head(id))}, 201)


@router.get("/archive.zip", summary="Everything", responses=GIVEN_AS)
def read_archive(session: TheSession) -> Response:
    """All files of all heads of the session."""
    if not session.heads:
        raise Problem("wrong-state", "There are no heads yet; add a photo first.")
    return _file(_packed(list(session.heads.values())), "zip", "heads.zip")


@router.post("/people", summary="Sort the heads into people")
async def make_people(request: Request, studio: TheStudio, session: TheSession) -> Response:
    """One head of each person whom the session's photos show; ``unsure`` are faces that are nobody's for certain."""
    job = studio.people_job(session)
    if _wants_job(request):
        return _job_answer(job)
    heads = await job.ended()
    return JSONResponse({"heads": [head.to_dict() for head in heads], "unsure": list(job.unsure)})


@router.get("/comparison", summary="How alike the heads are")
def read_comparison(session: TheSession, studio: TheStudio) -> JSONResponse:
    """Every head with every other: RMS mm between the shapes of the faces, cosine of the codes, and the chance that
    they are one person, where that was as likely as not before."""
    heads = list(session.heads.values())
    if not heads:
        return JSONResponse({"heads": [], "millimetres": [], "cosine": [], "chance": []})
    found = compare(studio.model, [head.compared for head in heads])
    tables = {name: getattr(found, name).round(4).tolist() for name in ("millimetres", "cosine", "chance")}
    return JSONResponse({"heads": [head.id for head in heads], **tables})


@router.get("/jobs/{id}", summary="How far a job is")
async def read_job(id: str, session: TheSession) -> JSONResponse:
    """State, step and, when it is done, the heads."""
    return JSONResponse(_job(session, id).to_dict())


@router.get(
    "/jobs/{id}/events",
    summary="How far a job is, as it goes",
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def read_events(id: str, session: TheSession) -> StreamingResponse:
    """Server-sent events ``waiting``, ``running``, ``done`` or ``failed``, each with the job as JSON."""
    return StreamingResponse(_job(session, id).events(), media_type="text/event-stream")


def _job(session: Session, id: str) -> Job:
    if id not in session.jobs:
        raise Problem("not-found", "There is no such job in this session.")
    return session.jobs[id]


def _wants_job(request: Request) -> bool:
    return "respond-async" in request.headers.get("prefer", "").lower()


def _job_answer(job: Job) -> JSONResponse:
    place = f"/v1/jobs/{job.id}"
    return JSONResponse(job.to_dict(), 202, {"Location": place, "Preference-Applied": "respond-async"})


def _heads_answer(form: str, heads: list[Head], job: Job, session: Session | None) -> Response:
    if form == "zip":
        return _file(_packed(heads), "zip", "heads.zip")
    if form != "json":
        return _file(heads[0].content(form), form, f"{heads[0].file_name}.{form}")
    told = [head.to_dict() for head in heads]
    if session is None:
        for one in told:  # nothing is there to be asked for any more
            del one["links"]
    return JSONResponse({"heads": told, "note": job.note})


def _packed(heads: list[Head]) -> bytes:
    return archive({name: data for head in heads for name, data in head.files().items()})


def _file(data: bytes, form: str, name: str | None = None) -> Response:
    headers = {} if name is None else {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=MEDIA_TYPES[form], headers=headers)
