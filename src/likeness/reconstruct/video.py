"""A video -> its people: one head each, which moves and makes faces as they do.

In three passes, of which only the first reads the video: faces are followed from frame to frame
(:mod:`likeness.reconstruct.tracking`) and what is seen of them goes to disk; then it is decided who is who, and each
person's code is fused (:mod:`likeness.reconstruct.cast`); then pose and expression of every frame are fitted under
that code, and smoothed (:mod:`likeness.reconstruct.smoothing`). What stays in memory of a frame is pose, weights and
what tells people apart, about 1 kB a face.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, LikenessError, StrPath
from likeness.files import file_digest
from likeness.geometry.camera import Camera
from likeness.images.video import VideoFile, VideoWriter
from likeness.progress import Steps, unheard
from likeness.reconstruct.cast import Member, cast_of
from likeness.reconstruct.overview import Sitter
from likeness.reconstruct.people import fused_identity, posed_under
from likeness.reconstruct.performance import Performance
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.reconstruct.result import Reconstruction
from likeness.reconstruct.tracking import Memory, Tracker
from likeness.reconstruct.video_chunks import FRAMES, NO_PIXELS, Chunks, made_by, packed, seen_by, unpacked
from likeness.render import overlay
from likeness.result_folder import RECORDS, ResultFolder, Source
from likeness.result_names import ResultNames

FORMATS = ("glb", "csv", "json", "mp4")

VERSION = 3
"""Of what is kept on disk of an unfinished run."""

KEPT = ("identity", "cue_features", "precision", "score", "focal")
"""What is held in memory of every face to tell people apart."""


@dataclass(frozen=True, eq=False)
class VideoResult:
    """The people of a video.

    Args:
        video: the file.
        people: those seen in most frames first.
        frames: how many could be read.
        source: the file as results name it.
        note: what the user should know, one line; empty if nothing.
        kept: what was seen, on disk until the result is saved; None: nowhere.
    """

    video: VideoFile
    people: tuple[Performance, ...]
    frames: int
    source: Source
    note: str = ""
    kept: Chunks | None = None

    def save(
        self,
        folder: StrPath,
        formats: Sequence[str] = FORMATS,
        *,
        names: ResultNames | None = None,
        overwrite: bool = False,
        steps: Steps = unheard,
    ) -> list[Path]:
        """Write ``NAME.glb`` (the head, its shapes, the animation), ``NAME.csv`` (Live Link Face's layout) and
        ``NAME.json`` of every person, and ``NAME.mp4``, the video with the heads over it. NAME is the video's, with
        a number from the second person on.

        Args:
            folder: is made if missing.
            formats: any of :data:`FORMATS`.
            names: of many videos' results in one folder; None: this is the only one.
            overwrite: also replace files that are no earlier results of this video.
            steps: hears how far the overlay is.

        Returns:
            The files.

        Raises:
            ValueError: an unknown format, or a model without ARKit's expressions for ``csv``.
            FileError: the folder cannot be written to, or a file there belongs to somebody else.
        """
        if set(formats) - set(FORMATS):
            raise ValueError(f"expected formats of {FORMATS}, got {sorted(set(formats) - set(FORMATS))}")
        results = ResultFolder(folder, "reconstruct", overwrite=overwrite)
        names = names or ResultNames(results, [self.video.path])
        made: list[Path] = []
        for number, person in enumerate(self.people):
            name = names.of(self.source, number)

            def write(stage: Path, name: str = name, person: Performance = person) -> None:
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                for format in formats:
                    path = stage / f"{name}.{format}"
                    if format != "mp4":
                        getattr(person, f"write_{format}")(path)
                    elif person.number == 1:
                        self.write_overlay(path, steps)

            made += results.save(name, self.source, write)
        names.remove_from(self.source, len(self.people))
        if self.kept is not None:
            self.kept.remove()
        return made

    def write_overlay(self, path: StrPath, steps: Steps = unheard) -> None:
        """Write the video with the heads over it, at a steady rate, every frame once."""
        rows = [dict(zip(one.frames.tolist(), range(len(one)), strict=True)) for one in self.people]
        sitters = [Sitter(one.model, one.mesh()) for one in self.people]
        with VideoWriter(path, self.video.size, self.video.rate) as writer:
            for frame in self.video.frames():
                picture = frame.image
                for person, sitter, row_of in zip(self.people, sitters, rows, strict=True):
                    if frame.number in row_of:
                        picture = _overlaid(picture, person, sitter, row_of[frame.number])
                writer.write(picture)
                steps("overlay", frame.number + 1, max(self.frames, frame.number + 1))


def reconstruct_video(
    reconstructor: Reconstructor,
    path: StrPath,
    *,
    max_people: int | None = None,
    smooth: bool = True,
    work: StrPath | None = None,
    steps: Steps = unheard,
) -> VideoResult:
    """The people of a video.

    Args:
        reconstructor: its network must place surface points, and the head be fitted to these.
        path: the file.
        max_people: keep those who are seen in most frames.
        smooth: without jitter (:meth:`Performance.steadied`); if not, every frame by itself.
        work: a folder of results; what is seen is kept in it until the result is saved, so that a killed run goes on
            where it was. None: it is lost.
        steps: hears how far it is.

    Raises:
        FileError: the file is no video, or none that can be read.
        LikenessError: it does not do so.
    """
    if reconstructor.refiner is None or reconstructor.teacher is not None:
        raise LikenessError("video needs a network that places surface points, and the fit to these")
    video = VideoFile(path)
    source = Source(os.path.abspath(path), file_digest(path))
    key = {
        "version": VERSION,
        "video": source.sha256,
        **made_by(reconstructor),
        "min_score": reconstructor.min_score,
        "views": reconstructor.views,
        "frames": FRAMES,
    }
    with tempfile.TemporaryDirectory() as scratch:
        chunks = Chunks(scratch if work is None else Path(work) / RECORDS, key)
        faces, frames, end = _seen(reconstructor, video, chunks, steps)
        if not frames:
            chunks.remove()
            raise FileError(path, "holds no frame that can be read; the video is damaged or cut short")
        cast = cast_of(faces, reconstructor.network.digest)[:max_people]
        people = _performed(reconstructor, video, chunks, faces, cast, steps)
    name = Path(os.fsdecode(path)).stem
    people = [one.steadied() if smooth else one for one in people]
    named = [replace(one, name=name, source=source, number=n) for n, one in enumerate(people, start=1)]
    note = ""
    if video.is_cut(frames, end):
        note = f"is damaged or cut short: {frames} of about {video.count} frames could be read"
    return VideoResult(video, tuple(named), frames, source, note, None if work is None else chunks)


def _seen(
    reconstructor: Reconstructor, video: VideoFile, chunks: Chunks, steps: Steps
) -> tuple[dict[str, np.ndarray], int, float]:
    """What tells people apart of all faces, how many frames there are and when the last is shown; the rest goes into
    chunks."""
    kept: list[dict[str, np.ndarray]] = []
    number, frames, end = 0, 0, 0.0
    memory: Memory | None = None
    while (known := chunks.read("seen", number)) is not None:
        kept.append(_summary(known, number))
        memory = Memory.from_arrays(known)
        frames, end, is_last = int(known["end_frame"]), float(known["end_time"]), bool(known["is_last"])
        number += 1
        if is_last:
            return _joined(kept), frames, end
    tracker, begun = Tracker(reconstructor, memory), frames
    held: list[tuple[tuple[int, int, int], float, Reconstruction]] = []

    def store(is_last: bool) -> None:
        nonlocal held, number, begun
        arrays = packed([face for _, _, face in held])
        arrays["frame"] = np.array([frame for frame, _, _ in held], np.int64).reshape(-1, 3)
        arrays["time"] = np.array([time for _, time, _ in held], np.float64)
        arrays |= {"end_frame": np.array(frames), "end_time": np.array(end), "is_last": np.array(is_last)}
        arrays |= tracker.memory.arrays()
        chunks.write("seen", number, arrays)
        kept.append(_summary(arrays, number))
        held, number, begun = [], number + 1, frames

    for frame in video.frames(frames):
        found = tracker(frame)
        # Pixels are let go.
        scene = tracker.memory.scene
        held += [((frame.number, track, scene), frame.time, replace(face, photo=NO_PIXELS)) for track, face in found]
        frames, end = frame.number + 1, frame.time
        steps("faces", frames, max(video.count, frames))
        if frames - begun >= FRAMES:
            store(False)
    store(True)
    return _joined(kept), frames, end


def _summary(arrays: dict[str, np.ndarray], chunk: int) -> dict[str, np.ndarray]:
    """What is held in memory of a chunk's faces."""
    count = len(arrays["time"])
    if not count:
        return {}
    found = {name.removeprefix("cue_"): arrays[name] for name in KEPT}
    low, high = arrays["landmarks"].min(1), arrays["landmarks"].max(1)
    return found | {
        "frame": arrays["frame"][:, 0],
        "track": arrays["frame"][:, 1],
        "scene": arrays["frame"][:, 2],
        "time": arrays["time"],
        "center": (low + high) / 2,
        "size": np.sqrt((high - low).prod(1)),
        "chunk": np.full(count, chunk),
        "row": np.arange(count),
    }


def _joined(kept: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    filled = [one for one in kept if one]
    if not filled:
        return {"track": np.zeros(0, int), "frame": np.zeros(0, int), "chunk": np.zeros(0, int)}
    return {name: np.concatenate([one[name] for one in filled]) for name in filled[0]}


def _faces(
    reconstructor: Reconstructor, video: VideoFile, chunks: Chunks, faces: dict[str, Any], rows: np.ndarray
) -> Iterator[Reconstruction]:
    """The faces of some rows, chunk by chunk in their order."""
    loaded, arrays = -1, None
    for row in rows:
        if faces["chunk"][row] != loaded:
            loaded = int(faces["chunk"][row])
            arrays = chunks.read("seen", loaded)
        if arrays is None:
            raise FileError(chunks.folder, "was changed while a video was worked on; start again")
        row_in_chunk, network = int(faces["row"][row]), reconstructor.network.digest
        yield unpacked(arrays, row_in_chunk, reconstructor.model, video.size, network)


def _performed(
    reconstructor: Reconstructor,
    video: VideoFile,
    chunks: Chunks,
    faces: dict[str, Any],
    cast: list[Member],
    steps: Steps,
) -> list[Performance]:
    """Each person's shape, and their pose and expression in every frame."""
    refiner = reconstructor.refiner
    assert refiner is not None
    if not cast:
        return []
    # One camera for all: what each face by itself would take, in the middle.
    focal = float(np.median(faces["focal"][np.concatenate([member.sharpest for member in cast])]))
    total, done, people = sum(len(member.rows) for member in cast), 0, []
    for member in cast:
        sharp = list(_faces(reconstructor, video, chunks, faces, np.sort(member.sharpest)))
        _, identity = fused_identity(refiner, sharp, [face.cues for face in sharp if face.cues is not None])
        code = np.asarray(identity, np.float32)
        weights, rotations, translations = [], [], []
        for face in _faces(reconstructor, video, chunks, faces, member.rows):
            posed = posed_under(refiner, seen_by(face, focal), code)
            weights.append(posed.coefficients.expression)
            rotations.append(posed.rotation)
            translations.append(posed.translation)
            done += 1
            steps("expressions", done, total)
        own = member.rows
        raw = Performance(
            model=reconstructor.model,
            identity=code,
            albedo=np.mean([face.coefficients.albedo for face in sharp], axis=0),
            camera=Camera(focal, sharp[0].camera.center, video.size),
            rate=video.rate,
            frames=faces["frame"][own],
            times=faces["time"][own],
            tracks=faces["track"][own],
            expression=np.stack(weights),
            rotation=np.stack(rotations),
            translation=np.stack(translations),
            score=faces["score"][own],
        )
        people.append(raw)
    return people


def _overlaid(picture: np.ndarray, person: Performance, sitter: Sitter, row: int) -> np.ndarray:
    """A frame with a head over it."""
    head = sitter.portrait(person.expression[row])
    return overlay(
        picture,
        head.mesh.vertices,
        head.mesh.triangles,
        person.camera,
        np.asarray(person.rotation[row], np.float64),
        np.asarray(person.translation[row], np.float64),
        albedo=head.paint,
        alpha=0.8,
    )
