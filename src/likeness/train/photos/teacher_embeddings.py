"""What a teacher, a face-recognition network of the user's, says of training pictures: asked once, kept on disk."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from likeness.datasets import ImageStore, Photos
from likeness.datasets.image_store import readable
from likeness.errors import FileError
from likeness.files import file_digest, write_atomically
from likeness.networks.recogniser import Teacher
from likeness.progress import Steps, unheard
from likeness.readers import read_npz
from likeness.train.photos.labels import PseudoLabels, Sources, TeacherEmbeddings

NOTES = "told.npz"
"""The file in a training's output folder."""

BATCH = 64

ASKING = "asking the teacher about pictures"


@dataclass
class TeacherNotes:
    """Embeddings of frames (at once) and photos (as soon as they have landmarks), kept in ``out/told.npz``.

    Args:
        teacher: who is asked; None: nobody.
        path: where the answers are kept.
        digest: of the teacher's file.
        embeddings: the answers.
        watch: hears how many pictures it was asked about.
    """

    teacher: Teacher | None = None
    path: Path = Path(NOTES)
    digest: str = ""
    embeddings: TeacherEmbeddings = field(default_factory=TeacherEmbeddings)
    watch: Steps = unheard

    @classmethod
    def open(cls, teacher: Path | None, sources: Sources, out: Path, watch: Steps = unheard) -> TeacherNotes:
        """The notes of a run: read where there are some of the same teacher, begun otherwise.

        Raises:
            FileError: the teacher cannot be used.
        """
        if teacher is None:
            return cls()
        notes = cls(Teacher.load(teacher), out / NOTES, file_digest(teacher), watch=watch)
        frames, photos = sources.frames, sources.photos
        kept = notes._read(0 if frames is None else len(frames.images), 0 if photos is None else len(photos.images))
        if kept is not None:
            notes.embeddings = kept
            return notes
        seen = (
            None if frames is None else notes._answers(frames.images, frames.landmarks, np.arange(len(frames.images)))
        )
        notes.embeddings = TeacherEmbeddings(
            seen, None if photos is None else np.full((len(photos.images), notes.size), np.nan, np.float32)
        )
        known = sources.photo_points
        if photos is not None and known is not None and sources.point_map is not None:
            notes.ask(photos, PseudoLabels(known.index, known.points[:, sources.point_map.ibug]))
        return notes

    @property
    def size(self) -> int:
        """D, numbers per embedding; 0 without a teacher."""
        return 0 if self.teacher is None else self.teacher.size

    def ask(self, photos: Photos, pseudo: PseudoLabels) -> None:
        """Ask about the photos that have landmarks and were not asked about yet, and keep all answers."""
        if self.teacher is None or self.embeddings.photos is None:
            return
        new = np.isnan(self.embeddings.photos[pseudo.index, 0])
        if new.any():
            answers = self._answers(photos.images, pseudo.landmarks[new], pseudo.index[new])
            self.embeddings.photos[pseudo.index[new]] = answers
        self._write()

    def share(self, fabric: Any) -> None:
        """Give the first device's answers to all."""
        if self.teacher is not None and fabric.world_size > 1:
            self.embeddings = fabric.broadcast(self.embeddings)

    def _answers(self, images: ImageStore, landmarks: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        assert self.teacher is not None
        answers = np.full((len(numbers), self.size), np.nan, np.float32)
        self.watch(ASKING, 0, len(numbers))
        for start in range(0, len(numbers), BATCH):
            faces = {
                row: self.teacher.aligned(image, landmarks[row].astype(float))
                for row in range(start, min(start + BATCH, len(numbers)))
                for _, image in readable(images, [int(numbers[row])])
            }
            if faces:
                answers[[*faces]] = self.teacher(np.stack([*faces.values()]))
            self.watch(ASKING, min(start + BATCH, len(numbers)), len(numbers))
        return answers

    def _read(self, frames: int, photos: int) -> TeacherEmbeddings | None:
        """What is kept, if it is of this teacher and as many pictures."""
        try:
            found = read_npz(self.path, "a teacher's embeddings")
            arrays = [found[name] for name in ("frames", "photos")]
            if str(found["digest"]) != self.digest:
                return None
        except (FileError, KeyError):
            return None
        if [array.shape for array in arrays] != [(frames, self.size), (photos, self.size)]:
            return None
        if any(array.dtype.kind != "f" for array in arrays):
            return None
        return TeacherEmbeddings(arrays[0] if frames else None, arrays[1] if photos else None)

    def _write(self) -> None:
        empty = np.zeros((0, self.size), np.float32)
        frames, photos = self.embeddings.frames, self.embeddings.photos
        buffer = io.BytesIO()
        np.savez(
            buffer,
            digest=np.array(self.digest),
            frames=empty if frames is None else frames,
            photos=empty if photos is None else photos,
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, buffer.getvalue())
