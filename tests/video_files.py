"""Videos made for tests: what OpenCV cannot write (turned frames, uneven times) is put into the file afterwards."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # as the package does; FFmpeg reads it once in a process

MATRICES = {
    0: (65536, 0, 0, 65536),
    90: (0, 65536, -65536, 0),
    180: (-65536, 0, 0, -65536),
    270: (0, -65536, 65536, 0),
}
"""a, b, c, d of a track header's matrix (ISO 14496-12, 8.3.2) by the degrees that players turn it, clockwise."""


def write_video(path: Path, images: Iterable[np.ndarray], rate: float = 10.0, codec: str = "mp4v") -> Path:
    """Frames (H, W, 3) uint8 RGB to a file of the container that its suffix names."""
    frames = list(images)
    size = frames[0].shape[1], frames[0].shape[0]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def turn(path: Path, degrees: int) -> Path:
    """Have players turn an MP4 by so many degrees clockwise, as phones ask for it."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # of version 0: flags, times, number, duration, layers, volume
    a, b, c, d = MATRICES[degrees]
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def set_durations(path: Path, ticks: Sequence[int]) -> Path:
    """Give every frame of an MP4 its own duration in ticks of its track (a variable frame rate)."""
    data = path.read_bytes()
    inside = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    places, at, end = [], 0, len(data)
    for kind in (*inside, b"stts"):
        while data[at + 4 : at + 8] != kind:
            at += struct.unpack_from(">I", data, at)[0]
            assert at < end
        places.append(at)
        at += 8
    old = struct.unpack_from(">I", data, places[-1])[0]
    table = struct.pack(">III", 0, len(ticks), 0)[:8] + b"".join(struct.pack(">II", 1, tick) for tick in ticks)
    new = struct.pack(">I4s", 8 + len(table), b"stts") + table
    assert data.index(b"mdat") < places[0], "offsets into the data would have to be moved"
    changed = bytearray(data[: places[-1]] + new + data[places[-1] + old :])
    for place in places[:-1]:
        struct.pack_into(">I", changed, place, struct.unpack_from(">I", changed, place)[0] + len(new) - old)
    path.write_bytes(changed)
    return path


def track_rate(path: Path) -> int:
    """Ticks a second of an MP4's track."""
    data = path.read_bytes()
    return int(struct.unpack_from(">I", data, data.index(b"mdhd") + 4 + 12)[0])


def plain_frames(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Frames (H, W, 3): the left half black, the right half the brighter the later; the top left corner red."""
    width, height = size
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[:, :, width // 2 :] = (40 + 20 * np.arange(count) % 200).astype(np.uint8)[:, None, None, None]
    frames[:, : height // 3, : width // 3] = (220, 20, 20)
    return list(frames)
