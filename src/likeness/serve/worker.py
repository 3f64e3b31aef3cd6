"""A process that makes heads, so that a photo that takes too long, or too much memory, ends nobody else's work."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from likeness.errors import Excluded, LikenessError, as_file_error
from likeness.images.encode import jpeg_bytes
from likeness.reconstruct.inputs import as_photo
from likeness.reconstruct.mixed import people_of
from likeness.reconstruct.overview import Sitter
from likeness.reconstruct.people import NO_PIXELS, Sightings
from likeness.reconstruct.person import Person
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.reconstruct.result import Reconstruction
from likeness.serve.problems import sentence
from likeness.serve.wire import Failed, Made, PeopleDone, PeopleTask, PhotoDone, PhotoTask, Step, receive, send

PREVIEW = 1280
"""Pixels of the longer side of the photo that the page shows."""

PORTRAIT, PORTRAIT_YAW, QUALITY = 320, 0.35, 88

Tell = Callable[[Any], None]


def work_for(pipe: Connection, options: dict[str, Any]) -> None:
    """What the process does until the other side of the pipe is closed; Ctrl-C is for who has started it.

    Args:
        pipe: gives tasks and takes steps and results; the first that it takes says whether there will be any: "" or
            why not.
        options: of the :class:`likeness.Reconstructor`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        try:
            reconstructor = Reconstructor(**options)
        except Exception as error:  # whatever it is, it is told where it can be shown
            send(pipe, str(error) if isinstance(error, LikenessError) else as_file_error("likeness", error).reason)
            return
        send(pipe, "")
        while True:
            task = receive(pipe, reconstructor.model)

            def tell(what: Any) -> None:
                send(pipe, what)

            tell(done_safely(reconstructor, task, tell))


def done_safely(reconstructor: Reconstructor, task: PhotoTask | PeopleTask, tell: Tell) -> Any:
    """What becomes of a task; whatever it raises is a :class:`Failed`."""
    try:
        if isinstance(task, PhotoTask):
            return heads_of_photo(reconstructor, task, tell)
        return heads_of_people(reconstructor, task, tell)
    except LikenessError as error:
        return Failed("bad-photo", sentence(error.reason))
    except MemoryError:
        return Failed("too-long", "The photo needs more memory than there is.")
    except OSError:
        raise  # the pipe's
    except Exception as error:  # one photo's trouble is not the next one's
        return Failed("bad-photo", sentence(as_file_error("", error).reason))


def heads_of_photo(reconstructor: Reconstructor, task: PhotoTask, tell: Tell) -> PhotoDone | Failed:
    """The heads of a photo's faces."""
    tell(Step("Reading the photo", 0.05))
    photo = as_photo(task.data)
    tell(Step("Looking for faces", 0.15))
    faces = reconstructor(replace(photo, note=""), max_faces=task.faces)
    if not faces:
        return Failed(
            "no-face", "No face was found in the photo; one that looks roughly at the camera, not too small, is best."
        )
    made = []
    for number, face in enumerate(faces, start=1):
        tell(Step(f"Making head {number} of {len(faces)}", 0.4 + 0.6 * (number - 1) / len(faces)))
        made.append(_made(face, task.texture))
    return PhotoDone(tuple(made), jpeg_bytes(_smaller(photo.image), QUALITY), photo.note)


def heads_of_people(reconstructor: Reconstructor, task: PeopleTask, tell: Tell) -> PeopleDone:
    """The heads of the people whom faces show."""
    tell(Step("Comparing faces", 0.1))
    named = [replace(one, face=replace(one.face, name=one.label)) for one in task.faces]
    photos = len({one.photo for one in named})
    found = people_of(reconstructor.model, reconstructor.refiner, Sightings(tuple(named), photos, ()))
    made = []
    for number, person in enumerate(found.people, start=1):
        tell(Step(f"Making person {number} of {len(found.people)}", 0.4 + 0.6 * (number - 1) / len(found.people)))
        made.append(_made(person, task.texture, tuple(photo.name for photo in person.photos)))
    return PeopleDone(tuple(made), _ids(found.unsure))


def _ids(excluded: Sequence[Excluded]) -> tuple[str, ...]:
    return tuple(one.item for one in excluded)


def _made(head: Reconstruction | Person, side: int | None, members: tuple[str, ...] = ()) -> Made:
    skin = head.texture(side) if side is not None and len(head.model.topology.uv) else None
    light = without_pixels(head)
    return Made(light, skin, portrait_of(head, skin), members)


def without_pixels(head: Reconstruction | Person) -> Reconstruction | Person:
    """The same without its photos' pixels."""
    if isinstance(head, Reconstruction):
        return replace(head, photo=NO_PIXELS)
    return replace(head, photos=tuple(replace(photo, photo=NO_PIXELS) for photo in head.photos))


def portrait_of(head: Reconstruction | Person, skin: np.ndarray | None) -> bytes:
    """JPEG of a head at rest, a little turned."""
    rest = head.mesh(neutral=True, texture=skin) if isinstance(head, Reconstruction) else head.mesh(skin)
    return jpeg_bytes(Sitter(head.model, rest).portrait().view(PORTRAIT, PORTRAIT_YAW), QUALITY)


def _smaller(image: np.ndarray) -> np.ndarray:
    """A photo (H, W, 3) with a longer side of at most :data:`PREVIEW`."""
    import cv2

    share = PREVIEW / max(image.shape[:2])
    if share >= 1:
        return image
    size = (max(round(image.shape[1] * share), 1), max(round(image.shape[0] * share), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
