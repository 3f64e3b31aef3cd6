"""Video files: frames upright, in RGB, with the times at which they are shown; and pictures -> a video file.

OpenCV's wheels bring their own FFmpeg. What a file is, its content tells: FFmpeg also opens playlists and addresses,
which are no videos of the user's, so only known containers reach it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.images.boxes import heif_kind
from likeness.images.photo import MAX_PIXELS, MIN_SIDE, quiet_opencv

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif", ".mpg", ".ts", ".3gp")
"""Of video files, in lower case."""

CONTAINERS = "MP4, MOV, WebM, Matroska, AVI, MPEG or an animated GIF"

DEFAULT_RATE = 25.0
"""Frames a second where neither the file nor its frames' times tell."""

HIGHEST_RATE = 1000.0

SAME_ASPECT = 0.02
"""How far the aspect of a frame may be from the first one's (natural logarithm): calls change their resolution."""

CUT_SHARE, CUT_SECONDS = 0.95, 0.5
"""A file that ends before this share of what it announces, and so long before, is cut short."""

CODEC, SUFFIX = "mp4v", ".mp4"
"""What is written: MPEG-4 part 2, which OpenCV's wheels can encode (H.264 they cannot)."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    Attributes:
        number: from 0.
        time: seconds since the first frame, increasing.
        image: (H, W, 3) uint8 RGB, upright.
    """

    number: int
    time: float
    image: np.ndarray


class VideoFile:
    """A video file that is read frame by frame, any number of times; memory holds one frame.

    Args:
        path: the file.

    Attributes:
        path: as given.
        size: (width, height) of the upright frames, pixels.
        rate: frames a second, as the file announces them; variable rates show in the frames' times.
        count: frames, as the file announces them, about; 0: it does not say.

    Raises:
        FileError: missing, a folder, no video, damaged from the first frame on, too small or too large.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = path
        if not is_video(path):
            raise FileError(path, f"is no video; expected {CONTAINERS}")
        capture = self._opened()
        try:
            rate, count = (float(capture.get(what)) for what in _rate_and_count())
            is_read, first = capture.read()
        finally:
            capture.release()
        if not is_read or first is None:
            raise FileError(path, "holds no frame that can be read; the video is empty, damaged or cut short")
        self.size: tuple[int, int] = (first.shape[1], first.shape[0])
        if min(self.size) < MIN_SIDE:
            raise FileError(
                path, f"has frames of {self.size[0]} x {self.size[1]} pixels, expected {MIN_SIDE} or more"
            )
        self.rate = rate if 0 < rate <= HIGHEST_RATE else DEFAULT_RATE
        self.count = int(count) if 0 < count < 1e9 else 0

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """The frames in their order, from number ``first`` on.

        Frames before it are decoded, but not converted: of variable rates nothing else finds the right one.

        Raises:
            FileError: a frame of another shape than the first.
        """
        import cv2

        capture = self._opened()
        try:
            number, time, begin = 0, -1.0 / self.rate, 0.0
            while capture.grab():
                shown = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0
                begin = shown if number == 0 else begin
                shown -= begin
                # Some containers give no times, or give one twice.
                time = shown if shown > time + 1e-4 else time + 1.0 / self.rate
                if number >= first:
                    is_read, image = capture.retrieve()
                    if not is_read or image is None:
                        break
                    yield Frame(number, time, self._upright(image, number))
                number += 1
        finally:
            capture.release()

    def is_cut(self, read: int, seconds: float) -> bool:
        """Whether a file that gave ``read`` frames, the last of them at ``seconds``, ends before it should."""
        if not self.count:
            return False
        length = self.count / self.rate
        return read < CUT_SHARE * self.count - 1 and seconds < min(CUT_SHARE * length, length - CUT_SECONDS)

    def _opened(self) -> Any:
        import cv2

        # FFmpeg writes to standard error what is told in a FileError here; it asks for this when it is first used.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        path = os.path.abspath(os.fsdecode(self.path))  # "name:with-colon.mp4" alone would be an address
        with quiet_opencv():
            capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise FileError(
                self.path, "cannot be opened as a video; it is damaged, cut short, or of an unknown codec"
            )
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        width, height = (int(capture.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            capture.release()
            raise FileError(self.path, f"has frames of {width} x {height} pixels, expected {MAX_PIXELS} at most")
        return capture

    def _upright(self, image: np.ndarray, number: int) -> np.ndarray:
        """RGB pixels in the first frame's size."""
        import cv2

        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        height, width = image.shape[:2]
        if (width, height) != self.size:
            if abs(np.log(width / height * self.size[1] / self.size[0])) > SAME_ASPECT:
                raise FileError(
                    self.path,
                    f"changes its shape at frame {number}: {self.size[0]} x {self.size[1]}, then {width} x {height}; "
                    "expected frames of one shape",
                )
            image = cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


class VideoWriter:
    """Pictures -> an MP4 file (MPEG-4 part 2) of a steady rate, without sound; a context manager.

    Args:
        path: the file; ends in ``.mp4``.
        size: (width, height) of the pictures; odd ones lose their last row or column, which the codec cannot hold.
        rate: frames a second.

    Raises:
        FileError: cannot be written, or OpenCV was built without the codec.
    """

    def __init__(self, path: StrPath, size: tuple[int, int], rate: float) -> None:
        import cv2

        self.path, self.size = Path(path), (size[0] - size[0] % 2, size[1] - size[1] % 2)
        if self.path.suffix != SUFFIX:
            raise ValueError(f"expected a file {SUFFIX}, got {self.path.name}")
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        four = cv2.VideoWriter.fourcc(*CODEC)
        self._writer = cv2.VideoWriter(str(self.path.absolute()), cv2.CAP_FFMPEG, four, rate, self.size)
        if not self._writer.isOpened():
            raise FileError(path, f"cannot be written as video; OpenCV has no encoder {CODEC!r} here, or no place")

    def write(self, image: np.ndarray) -> None:
        """Add a picture (H, W, 3) uint8 RGB."""
        width, height = self.size
        if image.shape[:2] not in ((height, width), *((height + h, width + w) for h in (0, 1) for w in (0, 1))):
            raise ValueError(f"expected pictures of {width} x {height}, got {image.shape[1]} x {image.shape[0]}")
        self._writer.write(np.ascontiguousarray(image[:height, :width, ::-1]))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        if error is None and not (self.path.is_file() and self.path.stat().st_size):
            raise FileError(self.path, "was not written; is the disk full?")


def is_video(path: StrPath) -> bool:
    """Whether a file's first bytes are those of a container of moving pictures (:data:`CONTAINERS`).

    Raises:
        FileError: it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(1024)
            if head[:6] in (b"GIF87a", b"GIF89a"):
                stream.seek(0)
                return _is_animated(stream.read(1 << 26))
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if head[4:8] == b"ftyp":
        return heif_kind(head) is None and head[8:12] not in (b"jxl ", b"jp2 ", b"jpx ", b"crx ")
    return (
        head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # QuickTime before ftyp
        or head[:4] == b"\x1a\x45\xdf\xa3"  # Matroska, WebM
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or head[:4] == b"\x00\x00\x01\xba"  # MPEG program stream
        or head[:4] == b"\x00\x00\x01\xb3"
        or (head[:1] == b"\x47" and head[188:189] == b"\x47" and head[376:377] == b"\x47")  # MPEG transport stream
    )


def _rate_and_count() -> tuple[int, int]:
    import cv2

    return cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT


def _is_animated(data: bytes) -> bool:
    """Whether a GIF holds two pictures or more (W3C GIF89a, appendix B)."""
    try:
        at = 13 + _table_size(data[10])
        pictures = 0
        while data[at] != 0x3B:
            if data[at] == 0x21:
                at += 2
            elif data[at] == 0x2C:
                pictures += 1
                if pictures == 2:
                    return True
                at += 11 + _table_size(data[at + 9])
            else:
                return False
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:  # cut short: what was seen counts
        pass
    return False


def _table_size(flags: int) -> int:
    """Bytes of a colour table, from the flags of what it belongs to."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
