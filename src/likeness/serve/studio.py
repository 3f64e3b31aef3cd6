"""What the server does, apart from how it is asked: photos to heads, heads to people, walks between them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

from likeness.assets import asset
from likeness.files import write_atomically
from likeness.images.header import read_header
from likeness.model.exploration import Exploration
from likeness.model.face_model import FaceModel
from likeness.reconstruct.people import Sighting
from likeness.reconstruct.person import Person
from likeness.reconstruct.result import TEXTURE, Reconstruction, head_files
from likeness.serve.heads import FORMATS, Head, Upload
from likeness.serve.jobs import Job
from likeness.serve.limits import MIB, Limits
from likeness.serve.pool import Pool
from likeness.serve.problems import Problem, sentence
from likeness.serve.sessions import Session, Sessions
from likeness.serve.wire import Made, PeopleTask, PhotoTask


class Studio:
    """The server's state.

    Args:
        options: of the :class:`likeness.Reconstructor`; ``model``, if it is there, a face model's file.
        limits: see there.
        keep: folder where heads are written that users ask to keep; None: none is written anywhere.
    """

    def __init__(self, options: dict[str, Any] | None = None, limits: Limits | None = None, keep: Path | None = None):
        options = options or {}
        self.limits = limits or Limits()
        self.keep = keep
        self.model = FaceModel.load(options.get("model") or asset("face_model.npz"))
        self.sessions = Sessions(self.limits)
        self.pool = Pool(self.model, options, self.limits)
        self._running: set[asyncio.Task[None]] = set()

    @cached_property
    def exploration(self) -> Exploration:
        """Walks through the model's identities."""
        return Exploration(self.model)

    def check_photo(self, data: bytes) -> None:
        """Refuse what is no photo, or too large, before anything is decoded.

        Raises:
            Problem: what is wrong with it.
        """
        if len(data) > self.limits.photo_bytes:
            most = f"{self.limits.photo_bytes / MIB:.1f} MiB"
            raise Problem("too-large", f"The photo is larger than {most}, the most that is taken here.")
        try:
            header = read_header(data)
        except ValueError as error:
            raise Problem("not-a-photo", sentence(str(error), "The file")) from None
        width, height = header.size
        if width * height > self.limits.pixels:
            raise Problem(
                "too-many-pixels",
                f"The photo has {width} x {height} pixels; at most {self.limits.pixels / 1e6:g} million are taken.",
            )

    def photo_job(self, session: Session, title: str, data: bytes, faces: int, texture: int | None = TEXTURE) -> Job:
        """Begin to make heads of a photo, which the session keeps.

        Raises:
            Problem: the photo, the session or the server does not allow it.
        """
        self.check_photo(data)
        self.sessions.check_room(session, photos=1, heads=1, size=len(data))
        job = Job(session.new_id("job"), title)
        task = PhotoTask(data, min(faces, self.limits.faces), texture)

        async def work() -> None:
            done = await self.pool.run(task, job.tell, lambda: not session.dropped)
            upload = Upload(session.new_id("photo"), title, data, done.preview)
            several = len(done.made) > 1
            heads = [
                _head(session, "head", f"{title} {number}" if several else title, made, upload.id)
                for number, made in enumerate(done.made, start=1)
            ]
            self._keep_in(session, heads, [upload])
            job.finish(heads, done.note)

        self._begin(session, job, work)
        return job

    def people_job(self, session: Session, texture: int | None = TEXTURE) -> Job:
        """Begin to sort the session's faces into people; earlier people give way to the new ones.

        Raises:
            Problem: there is no face.
        """
        faces = [head for head in session.heads.values() if isinstance(head.result, Reconstruction)]
        if not faces:
            raise Problem("wrong-state", "There are no faces to sort into people yet; add photos first.")
        numbers = {photo: number for number, photo in enumerate(session.photos, start=1)}
        task = PeopleTask(
            tuple(Sighting(numbers[one.photo], one.id, session.photos[one.photo].data, one.face) for one in faces),
            texture,
        )
        job = Job(session.new_id("job"), "Sorting into people")
        known, photos = {head.id: head for head in faces}, dict(session.photos)

        async def work() -> None:
            done = await self.pool.run(task, job.tell, lambda: not session.dropped)
            for old in [head for head in session.heads.values() if head.members]:
                session.forget(old.id)
            people = []
            for number, made in enumerate(done.made, start=1):
                members = tuple(known[id] for id in made.members)
                person = _renamed(made.head, members, f"Person {number}")
                best = members[int(person.precision.argmax())]
                people.append(
                    replace(
                        _head(session, "person", person.name, replace(made, head=person), best.photo), members=members
                    )
                )
            self._keep_in(session, people, [])
            for one in (head for person in people for head in (person, *person.members)):
                session.photos.setdefault(one.photo, photos[one.photo])  # its head may be gone by now
            job.finish(people, unsure=done.unsure)

        self._begin(session, job, work)
        return job

    def keep_head(self, head: Head) -> str:
        """Write a head's files to the folder for that; the name they got, of which nothing comes from a request.

        Raises:
            Problem: this server keeps nothing.
        """
        if self.keep is None:
            raise Problem("wrong-state", "This server keeps nothing; it was started without --keep.")
        name = f"head-{secrets.token_hex(6)}"
        for file, data in head_files(head.result, FORMATS, name, head.skin).items():
            write_atomically(self.keep / file, data)
        return name

    async def end(self) -> None:
        """End all work and forget everybody."""
        await asyncio.to_thread(self.pool.end)
        for task in tuple(self._running):
            task.cancel()
        for session in self.sessions:
            self.sessions.drop(session)

    def temporary_session(self) -> Session:
        """One that nobody can come back to: it lasts as long as the request."""
        return Session("", monotonic())

    def _keep_in(self, session: Session, heads: list[Head], photos: list[Upload]) -> None:
        """Put what was made into a session, if that is still there."""
        if session.dropped:
            raise Problem("wrong-state", "The session has ended meanwhile.")
        size = sum(head.size for head in heads) + sum(photo.size for photo in photos)
        self.sessions.check_room(session, len(photos), len(heads), size)
        session.photos |= {photo.id: photo for photo in photos}
        session.heads |= {head.id: head for head in heads}

    def _begin(self, session: Session, job: Job, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            try:
                await work()
            except Problem as problem:
                job.fail(problem)
            except BaseException:
                job.fail(Problem("internal", "Something went wrong in the server; its log says what."))
                raise

        session.add_job(job)
        task = asyncio.get_running_loop().create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _head(session: Session, kind: str, title: str, made: Made, photo: str) -> Head:
    result = made.head if isinstance(made.head, Person) else replace(made.head, name=title)
    return Head(session.new_id(kind), title, result, made.skin, made.portrait, photo)


def _renamed(person: Reconstruction | Person, members: tuple[Head, ...], name: str) -> Person:
    """A person whose photos are called as their heads' titles again."""
    assert isinstance(person, Person)
    photos = zip(person.photos, members, strict=True)
    return replace(person, name=name, photos=tuple(replace(photo, name=one.title) for photo, one in photos))
