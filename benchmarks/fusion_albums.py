"""Photos of known people and what the program sees in them, looked at once and remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from likeness.assets import asset
from likeness.datasets.test_sets import open_photos
from likeness.errors import LikenessError
from likeness.evaluate.cache import Cache, key_of
from likeness.evaluate.predictions import SAME_FACE_OVERLAP, Predictor, overlap
from likeness.files import digest
from likeness.geometry.camera import Camera
from likeness.model.face_model import Coefficients, FaceModel
from likeness.reconstruct.people import NO_PIXELS
from likeness.reconstruct.result import Cues, Reconstruction

SHOTS = 16
RENDERED_SEED = 779
ARRAYS = ("rotation", "translation", "landmarks", "points", "deviation")
COEFFICIENTS = ("identity", "expression", "albedo", "light")


@dataclass(frozen=True, eq=False)
class Album:
    """Faces of known people: N of them, who each is, and what else is known (``truth``, ``group``, ``landmarks``)."""

    faces: list[Reconstruction]
    who: np.ndarray
    known: dict[str, np.ndarray]

    def of(self, person: int) -> np.ndarray:
        return np.flatnonzero(self.who == person)

    @property
    def people(self) -> np.ndarray:
        return np.unique(self.who)


class Looker:
    """Looks at pictures once, and remembers what it saw."""

    def __init__(self, predictor: Predictor, cache: Cache) -> None:
        self.predictor, self.cache = predictor, cache
        self.network: str = predictor.reconstruct.network.digest  # type: ignore[attr-defined]

    def __call__(
        self, picture: Callable[[], np.ndarray], key: str, landmarks: np.ndarray | None = None, cut: bool = True
    ) -> Reconstruction | None:
        """The face of a picture: in the crop of its landmarks, or the found one (that is annotated)."""
        key = key_of("fusion2", key, self.predictor.signature, cut, None if landmarks is None else landmarks.tolist())
        stored = self.cache.load(key)
        if stored is None:
            stored = self._seen(picture(), landmarks, cut)
            self.cache.store(key, stored)
        return self._restored(stored) if "score" in stored else None

    def _seen(self, picture: np.ndarray, landmarks: np.ndarray | None, cut: bool) -> dict[str, np.ndarray]:
        given = {} if landmarks is None or not cut else {"landmarks": landmarks[None]}
        faces = self.predictor.reconstruct(picture, **given)
        if landmarks is not None and not cut:
            faces = [face for face in faces if overlap(face.landmarks, landmarks) >= SAME_FACE_OVERLAP]
        if not faces:
            return {}
        face, cues = faces[0], faces[0].cues
        if cues is None:
            raise LikenessError("expected a network that places surface points")
        camera = np.array([face.camera.focal, *face.camera.center, *face.camera.size])
        kept = {name: np.asarray(getattr(face, name)) for name in ARRAYS}
        kept |= {name: np.asarray(getattr(face.coefficients, name)) for name in COEFFICIENTS}
        kept |= {
            "features": cues.features,
            "fitted": cues.fitted,
            "free": cues.expression,
            "precision": np.array(cues.precision),
        }
        return {**kept, "camera": camera, "score": np.array(face.score)}

    def _restored(self, stored: dict[str, np.ndarray]) -> Reconstruction:
        focal, x, y, width, height = stored["camera"].tolist()
        landmarks = stored["landmarks"]
        return Reconstruction(
            self.predictor.model,
            Coefficients(*(stored[name] for name in COEFFICIENTS)),
            Camera(focal, (x, y), (int(width), int(height))),
            stored["rotation"],
            stored["translation"],
            landmarks,
            np.concatenate([landmarks.min(0), landmarks.max(0)]),
            float(stored["score"]),
            NO_PIXELS,
            points=stored["points"],
            deviation=stored["deviation"],
            cues=Cues(stored["features"], stored["fitted"], stored["free"], float(stored["precision"]), self.network),
        )


def rendered_album(look: Looker, people: int, steps: Callable[[str], None]) -> Album:
    """People of the embedded face model, each photographed :data:`SHOTS` times."""
    from likeness.train.generate.rendered import SEEDS, SyntheticFaces
    from likeness.train.generate.rendered_people import SIZE, landmarks_of, over_background

    model = FaceModel.load(asset("face_model.npz"))
    render = SyntheticFaces(model, SIZE)
    faces, truth, codes = [], [], []
    for person in range(people):
        steps(f"rendered people {person} of {people}")
        first = render(RENDERED_SEED * SEEDS + person * SHOTS)
        for shot in range(SHOTS):
            number = person * SHOTS + shot
            face = render(RENDERED_SEED * SEEDS + number, first)
            picture = over_background(face.rgba, np.random.default_rng([RENDERED_SEED, number]))
            found = look(partial(np.copy, picture), digest(picture.tobytes()), landmarks_of(face, model))
            assert found is not None
            faces.append(found)
        truth.append(model.vertices(first.identity))
        codes.append(first.identity)
    return Album(faces, np.repeat(np.arange(people), SHOTS), {"truth": np.stack(truth), "codes": np.stack(codes)})


def photo_album(look: Looker, path: Path, steps: Callable[[str], None], per_person: int | None = None) -> Album:
    """The faces of a tar, at most so many of each person, spread over their photos."""
    items = open_photos(path).items
    names = sorted({item.identity for item in items})
    faces, who, group, landmarks = [], [], [], []
    for number, name in enumerate(names):
        steps(f"{path.name}: {number} of {len(names)} people")
        own = [item for item in items if item.identity == name]
        rows = range(len(own)) if per_person is None else np.unique(np.linspace(0, len(own) - 1, per_person).round())
        for row in rows:
            item = own[int(row)]
            found = look(item.image, digest(item.read()), item.landmarks, cut=False)
            if found is not None:
                faces.append(found)
                who.append(number)
                group.append(item.group or item.name)
                landmarks.append(np.full((68, 2), np.nan) if item.landmarks is None else item.landmarks)
    return Album(faces, np.array(who), {"group": np.array(group), "landmarks": np.stack(landmarks)})
