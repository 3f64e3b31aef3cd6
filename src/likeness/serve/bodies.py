"""What requests carry and answers look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from likeness.model.exploration import FARTHEST
from likeness.serve.guard import FORM_BYTES
from likeness.serve.heads import title_of
from likeness.serve.limits import Limits
from likeness.serve.problems import Problem

if TYPE_CHECKING:
    from likeness.serve.sessions import Session
    from likeness.serve.studio import Studio

Code = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1, max_length=4096)]
Share = Annotated[float, Field(ge=-4, le=4, allow_inf_nan=False)]
Shares = Annotated[list[Share], Field(min_length=1, max_length=129)]


class Body(BaseModel):
    """A request's JSON: unknown members are refused, so that no typing error goes unnoticed."""

    model_config = ConfigDict(extra="forbid")


class Who(Body):
    """A person: a head of the session, a code, or (with neither) the average head."""

    head: str | None = Field(None, description="id of a head of the session")
    identity: Code | None = Field(None, description="code, as a head's JSON has it")

    def code(self, studio: Studio, session: Session | None) -> np.ndarray:
        """The code (K,).

        Raises:
            Problem: there is no such head, or it is no code of the server's model.
        """
        if self.head is not None and self.identity is not None:
            raise Problem("bad-value", "Name a head or a code, not both.")
        if self.head is not None:
            if session is None:
                raise Problem("no-session", "Heads belong to a session; send its token or cookie.")
            return session.head(self.head).identity
        size = studio.model.space.size
        code = np.zeros(size) if self.identity is None else np.array(self.identity)
        if code.shape != (size,):
            raise Problem("bad-value", f"A code of this server's model has {size} numbers, got {len(code)}.")
        return code


class Random(Body):
    """Random people of the face model's population."""

    count: int = Field(1, ge=1, le=64)
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="the same seed gives the same people")


class Walk(Body):
    """The way from one person to another on the sphere of identities."""

    start: Who
    end: Who
    shares: Shares = Field([0.0, 0.5, 1.0], description="of the way: 0 the first, 1 the second, beyond: exaggerated")


class Caricature(Body):
    """All that is special about a person, weaker or stronger."""

    of: Who
    strengths: Shares = Field([1.5], description="0: the average head, 1: the person, above: a caricature")


class Adjust(Body):
    """A person with some directions of shape set."""

    of: Who
    strengths: dict[int, Annotated[float, Field(ge=-FARTHEST, le=FARTHEST, allow_inf_nan=False)]] = Field(
        description="number of a direction, from 0, what moves the face most first -> deviations of the population",
        max_length=128,
    )


class Mesh(Body):
    """A head of a code."""

    of: Who
    expression: dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] = Field(
        {}, description="ARKit name -> weight", max_length=128
    )


class Identities(BaseModel):
    """Codes of people, and the RMS mm by which their faces differ from the average."""

    identities: list[list[float]]
    strengths: list[list[float]] = Field(description="of the directions of shape, what moves the face most first")
    from_average_mm: list[float]


NO_BODY = "The photo is missing: send it as the request's body, or as the file 'photo' of a form."


async def uploaded_photo(request: Request, limits: Limits, title: str | None) -> tuple[bytes, str]:
    """The photo of a request, and its title; it is in memory only.

    Raises:
        Problem: there is none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            data, name = await _of_form(request, limits)
        else:
            data, name = b"".join([piece async for piece in request.stream()]), None
    except ClientDisconnect:
        raise Problem("bad-request", "The request ended before the photo did.") from None
    if not data:
        raise Problem("bad-request", NO_BODY)
    return data, title_of(title or name)


async def _of_form(request: Request, limits: Limits) -> tuple[bytes, str | None]:
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=4)
    parser.spool_max_size = limits.photo_bytes + 2 * FORM_BYTES  # what is larger would lie on disk for a while
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError, KeyError) as error:
        raise Problem("bad-request", f"The form cannot be read ({str(error)[:80]}); send one photo.") from None
    try:
        photo = form.get("photo")
        if photo is None or isinstance(photo, str):
            raise Problem("bad-request", NO_BODY)
        return await photo.read(), photo.filename
    finally:
        await form.close()
