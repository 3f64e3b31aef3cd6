"""Files with damage, which readers have to read or to refuse."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.errors import FileError
from likeness.model.face_model import FaceModel

Mutation = tuple[str, float, int]
"""What is done ("flip", "cut", "lie", "digits", "copy"), where (0 to 1 of the length), and with which number."""

LIES = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
WORDS = (b"9" * 19, b"9" * 400, b"-1", b"1e400", b"NaN", b"[" * 200, b'"\\ud800"', b"true")


@dataclass(frozen=True)
class Target:
    """A reader.

    Args:
        name: of the file that it reads.
        valid: makes the content.
        read: reads a file; anything but a return or a FileError is a crash.
        sealed: puts damaged content into its container with checksums that hold.
    """

    name: str
    valid: Callable[[FaceModel], bytes]
    read: Callable[[Path, FaceModel], Any]
    sealed: Callable[[bytes], bytes] = bytes


def damaged(data: bytes, mutations: Sequence[Mutation]) -> bytes:
    """A file's content after some mutations, one after the other."""
    content = bytearray(data)
    for kind, place, number in mutations:
        at = int(place * len(content))
        if kind == "flip" and at < len(content):
            content[at] ^= number % 255 + 1
        elif kind == "cut":
            del content[at:]
        elif kind == "lie":
            width = (1, 2, 4, 8)[number % 4]
            value = LIES[number // 8 % len(LIES)] % (1 << 8 * width)
            content[at : at + width] = value.to_bytes(width, "big" if number // 4 % 2 else "little")
        elif kind == "copy":
            content[at:at] = content[at : at + number % 64]
        elif kind == "digits":
            digits = [i for i in range(at, min(at + 200, len(content))) if 48 <= content[i] < 58]
            if digits:
                content[digits[0] : digits[0] + 1] = WORDS[number % len(WORDS)]
    return bytes(content)


def run(target: Target, content: bytes, model: FaceModel, folder: Path) -> None:
    """Let a reader have a file; FileError is an answer like any other."""
    path = folder / target.name
    os.makedirs(path.parent, exist_ok=True)
    path.write_bytes(target.sealed(content))
    try:
        target.read(path, model)
    except FileError as error:
        assert "\n" not in str(error)  # noqa: PT017
