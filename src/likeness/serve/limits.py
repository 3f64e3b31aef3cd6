"""What a server takes on at most."""

from __future__ import annotations

from dataclasses import dataclass, fields

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one server takes on at most; everything beyond is refused with the limit in the message.

    Args:
        photo_bytes: of one uploaded file.
        pixels: of one photo, width times height.
        faces: that are made heads of in one photo, the best ones.
        upload_seconds: for a request to arrive.
        work_seconds: for one photo, or one sorting into people; then the process that works on it is ended.
        jobs: processes that work side by side.
        queue: photos that wait for them, of all sessions together.
        connections: requests under way at a time; twice as many may be open.
        sessions: users at a time.
        session_heads: heads and photos that a session keeps, each.
        session_seconds: without a request, after which a session and all that is in it are dropped.
        memory_bytes: that all sessions together keep.
    """

    photo_bytes: int = 25 * MIB
    pixels: int = 50_000_000
    faces: int = 10
    upload_seconds: float = 60.0
    work_seconds: float = 120.0
    jobs: int = 1
    queue: int = 32
    connections: int = 128
    sessions: int = 32
    session_heads: int = 100
    session_seconds: float = 3600.0
    memory_bytes: int = 2048 * MIB

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"expected {field.name} above 0, got {getattr(self, field.name)}")

    def to_dict(self) -> dict[str, float]:
        """The limits by name, as ``GET /v1`` tells them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
