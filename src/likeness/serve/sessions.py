"""What users have on the server: in memory only, each by themselves, for a while."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from likeness.serve.heads import Head, Upload
from likeness.serve.limits import MIB, Limits
from likeness.serve.problems import Problem, busy

if TYPE_CHECKING:
    from likeness.serve.jobs import Job

TOKEN_BYTES = 32
FINISHED_JOBS = 32
"""Jobs that are done and still told of, a session."""


@dataclass(eq=False)
class Session:
    """One user's photos, heads and jobs.

    Args:
        token: the secret by which the user is known.
        used: when they last asked for something.
    """

    token: str
    used: float
    photos: dict[str, Upload] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    dropped: bool = False
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of memory that it keeps, about."""
        kept: list[Upload | Head] = [*self.photos.values(), *self.heads.values()]
        return sum(one.size for one in kept)

    def new_id(self, kind: str) -> str:
        """An id that was not given out before: ``head-1``, ``head-2`` …"""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}-{self._counts[kind]}"

    def head(self, id: str) -> Head:
        """A head; Problem if there is none of that id."""
        if id not in self.heads:
            raise Problem("not-found", "There is no such head in this session.")
        return self.heads[id]

    def forget(self, id: str) -> None:
        """Drop a head, with its photo if no other head is in it."""
        del self.heads[id]
        needed = {one.photo for head in self.heads.values() for one in (head, *head.members)}
        for photo in self.photos.keys() - needed:
            del self.photos[photo]

    def add_job(self, job: Job) -> None:
        """Remember a job, and forget old ones that are done."""
        self.jobs[job.id] = job
        done = [one.id for one in self.jobs.values() if one.is_done]
        for id in done[:-FINISHED_JOBS]:
            del self.jobs[id]


class Sessions:
    """Everybody's sessions.

    Args:
        limits: of sessions, of their age and memory.
        clock: seconds, growing.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._by_token: dict[str, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._by_token.values()))

    def __len__(self) -> int:
        return len(self._by_token)

    def start(self) -> Session:
        """A new session.

        Raises:
            Problem: there are as many as may be.
        """
        self.drop_old()
        if len(self) >= self._limits.sessions:
            raise busy(f"{len(self)} sessions are open, the most that may be; try again in a while.")
        session = Session(secrets.token_urlsafe(TOKEN_BYTES), self._clock())
        self._by_token[session.token] = session
        return session

    def of(self, token: str) -> Session | None:
        """The session of a token, which is in use again; None if there is none (any more)."""
        self.drop_old()
        session = self._by_token.get(token)
        if session is not None:
            session.used = self._clock()
        return session

    def drop(self, session: Session) -> None:
        """End a session and forget all that is in it."""
        session.dropped = True
        self._by_token.pop(session.token, None)
        for kept in (session.photos, session.heads, session.jobs):
            kept.clear()

    def drop_old(self) -> None:
        """End the sessions that nobody has used for too long."""
        oldest = self._clock() - self._limits.session_seconds
        for session in self:
            if session.used < oldest:
                self.drop(session)

    def check_room(self, session: Session, photos: int = 0, heads: int = 0, size: int = 0) -> None:
        """Refuse what would not fit.

        Raises:
            Problem: the session has, or would have, more than may be, or all sessions together.
        """
        most = self._limits.session_heads
        for what, there, new in (("photos", session.photos, photos), ("heads", session.heads, heads)):
            if new and len(there) + new > most:
                raise Problem(
                    "session-full", f"This session may keep {most} {what} and has {len(there)}; delete some first."
                )
        if sum(one.size for one in self) + size > self._limits.memory_bytes:
            limit = self._limits.memory_bytes // MIB
            raise Problem(
                "memory-full",
                f"The {limit} MiB that this server keeps are full; delete heads, or try again later.",
                {"Retry-After": "60"},
            )
