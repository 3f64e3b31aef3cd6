"""Work that takes a while, told of as it goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from likeness.serve.heads import Head
from likeness.serve.problems import Problem
from likeness.serve.wire import Step

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that nothing in between takes a stream for dead."""


@dataclass(eq=False)
class Job:
    """A photo that becomes heads, or faces that are sorted into people.

    Args:
        id: of the job.
        title: of the photo, or what is done.
    """

    id: str
    title: str
    state: str = "waiting"
    step: Step = field(default_factory=lambda: Step("Waiting", 0.0))
    heads: list[Head] = field(default_factory=list)
    unsure: tuple[str, ...] = ()
    note: str = ""
    problem: Problem | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _version: int = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed")

    def tell(self, step: Step) -> None:
        """It is that far."""
        self.state, self.step = "running", step
        self._change()

    def finish(self, heads: list[Head], note: str = "", unsure: tuple[str, ...] = ()) -> None:
        """It is done."""
        self.state, self.step = "done", Step("Done", 1.0)
        self.heads, self.note, self.unsure = heads, note, unsure
        self._change()

    def fail(self, problem: Problem) -> None:
        """It came to nothing."""
        self.state, self.problem = "failed", problem
        self._change()

    def _change(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def ended(self) -> list[Head]:
        """Wait for it; its heads.

        Raises:
            Problem: it came to nothing.
        """
        while not self.is_done:
            await self._changed.wait()
        if self.problem is not None:
            raise self.problem
        return self.heads

    def to_dict(self) -> dict[str, Any]:
        """What the API says of it."""
        told: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "state": self.state,
            "step": self.step.text,
            "share": round(self.step.share, 3),
            "heads": [head.to_dict() for head in self.heads],
            "links": {"self": f"/v1/jobs/{self.id}", "events": f"/v1/jobs/{self.id}/events"},
        }
        if self.note:
            told["note"] = self.note
        if self.unsure:
            told["unsure"] = list(self.unsure)
        if self.problem is not None:
            told["problem"] = self.problem.to_dict()
        return told

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events: what it is now, and after every change, until it has ended."""
        seen = -1
        while True:
            changed = self._changed
            if self._version != seen:
                seen = self._version
                yield f"id: {seen}\nevent: {self.state}\ndata: {json.dumps(self.to_dict())}\n\n".encode()
            if self.is_done:
                return
            try:
                await asyncio.wait_for(changed.wait(), HEARTBEAT)
            except asyncio.TimeoutError:
                yield b": waiting\n\n"
