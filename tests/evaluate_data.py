"""Made inputs for the tests of `likeness evaluate`: photos whose pixels say who is in them, results, meshes, tars."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from likeness import FaceModel, Mesh
from likeness.evaluate.predictions import Predictor
from likeness.reconstruct.proposals import load_photo

SIDE = 64
NOBODY = 255


def codes_of(model: FaceModel, person: int, number: int, spread: float = 0.1) -> np.ndarray:
    """(K,) a person's code with a small change for every photo."""
    size = len(model.identity_basis)
    own = np.random.default_rng(person).normal(size=size)
    return (own + spread * np.random.default_rng(1000 * person + number + 7).normal(size=size)).astype(np.float32)


def drawing() -> np.ndarray:
    """(68, 2) px: points that span a face in a photo of 64 px."""
    x, y = np.meshgrid(np.linspace(12, 52, 17), np.linspace(14, 54, 4))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def photo(person: int, number: int) -> bytes:
    """A PNG whose first pixels say who this is (``NOBODY``: no face)."""
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    image[0, :2] = [[person, number, 0], [person, number, 0]]
    return bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def write_photos(folder: Path, people: int = 3, each: int = 3) -> Path:
    """IDENTITY/NAME.png."""
    for person in range(people):
        (folder / f"p{person}").mkdir(parents=True)
        for number in range(each):
            (folder / f"p{person}" / f"{number}.png").write_bytes(photo(person, number))
    return folder


@dataclass
class FakeReconstructor:
    """Reads the answer out of the pixels; counts its calls and can die at one of them."""

    model: FaceModel
    dies_at: int = -1
    calls: int = 0
    given: list[Any] = field(default_factory=list)

    def __call__(self, source: Any, *, landmarks: np.ndarray | None = None) -> list[Any]:
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        self.calls += 1
        self.given.append(landmarks)
        image = source if isinstance(source, np.ndarray) else load_photo(source).image
        person, number = int(image[0, 0, 0]), int(image[0, 0, 1])
        if person == NOBODY:
            return []
        coefficients = SimpleNamespace(identity=codes_of(self.model, person, number), expression=np.zeros(52))
        return [SimpleNamespace(coefficients=coefficients, landmarks=drawing() + 0.5, score=0.9)]


def predictor(model: FaceModel, signature: str = "fake", dies_at: int = -1) -> tuple[Predictor, FakeReconstructor]:
    """A predictor without a network, and the counter of its calls."""
    fake = FakeReconstructor(model, dies_at)
    return Predictor(fake, model, signature), fake


def result(face_model: FaceModel, person: int, number: int, **changes: Any) -> str:
    """What `likeness reconstruct` writes, as far as evaluations read it."""
    content = {
        "photo": f"{number}",
        "model": face_model.name,
        "score": 0.9,
        "identity": codes_of(face_model, person, number).tolist(),
        "expression": dict.fromkeys(face_model.expression_names, 0.0),
        "landmarks": (drawing() + 0.5).tolist(),
    }
    return json.dumps({**content, **changes})


def write_results(folder: Path, model: FaceModel, people: int = 4, each: int = 3) -> Path:
    """IDENTITY/NAME.json."""
    for person in range(people):
        (folder / f"p{person}").mkdir(parents=True)
        for number in range(each):
            (folder / f"p{person}" / f"{number}.json").write_text(result(model, person, number))
    return folder


def write_meshes(folder: Path, model: FaceModel, people: int = 3, each: int = 2) -> Path:
    """IDENTITY/NAME.obj."""
    for person in range(people):
        (folder / f"p{person}").mkdir(parents=True)
        for number in range(each):
            model.mesh(codes_of(model, person, number)).save(folder / f"p{person}" / f"{number}.obj")
    return folder


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    """An uncompressed tar."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def annotated(path: Path, people: int = 3, each: int = 4, missed: int = 0) -> Path:
    """WebDataset's layout: KEY.png, KEY.json with identity, clip (two a person) and landmarks."""
    files = {}
    for person in range(people):
        for number in range(each):
            seen = NOBODY if person == 0 and number < missed else person
            note = {"identity": f"p{person}", "clip": f"p{person}-{number // 2}", "landmarks": drawing().tolist()}
            files[f"k{person}-{number}.png"] = photo(seen, number)
            files[f"k{person}-{number}.json"] = json.dumps(note).encode()
    return write_tar(path, files)


def tetrahedron() -> Mesh:
    """A mesh of another topology than any head."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    return Mesh(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]))
