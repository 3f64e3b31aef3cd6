"""Files to heads: results (.json, .glb), meshes (.obj, .ply, .stl), face models, and folders of them.

Files of one name in one folder are one head: its surface comes from the GLB, else from the code in the JSON, else
from the mesh; its photo and camera from the JSON. A whole head of several meshes, as this package writes it, is built
anew from the code and the skin that its GLB carries, with the model's directions; any other GLB is shown as all the
meshes it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness.assets import asset
from likeness.errors import Excluded, FileError, as_file_error, printable
from likeness.geometry.camera import Camera
from likeness.images.photo import load_photo
from likeness.mesh import Mesh
from likeness.mesh.glb_carried import read_carried
from likeness.mesh.glb_reader import read_partly_textured_glb
from likeness.model.face_model import FaceModel
from likeness.model.formats import load_model
from likeness.model.head import has_whole_head
from likeness.readers import read_json
from likeness.view.heads import MODEL_DIRECTIONS, OWN_SHAPES, FittedPhoto, Rig, Shapes, ViewedHead

MESHES = (".glb", ".obj", ".ply", ".stl")
MODELS = (".npz", ".npy", ".bin", ".mat", ".h5", ".pkl")
RESULT = "a result of likeness"
MAX_BYTES = 1 << 26


@dataclass
class Heads:
    """Reads heads and lets those of one topology share a rig.

    Args:
        model: that codes belong to; None: the embedded one.
    """

    model: FaceModel | None = None
    _rigs: list[Rig] = field(default_factory=list)
    _are_many: bool = False
    _whole: Rig | None = None

    def read(
        self, paths: Sequence[Path], most: int, watch: Callable[[list[Path]], Iterable[Path]] = iter
    ) -> tuple[dict[Path, ViewedHead], list[Excluded]]:
        """The heads of files and folders, by file in their order, and what could not be used.

        Args:
            paths: as the user gave them.
            most: heads that a page can bear; of more, the first are shown and the others are on the list.
            watch: goes through the files, telling of each.

        Raises:
            FileError: a folder without any such file, or a path that is not there.
        """
        every = list(dict.fromkeys(_one_of_each(paths)))
        chosen, heads, excluded = every[:most], dict[Path, ViewedHead](), list[Excluded]()
        self._are_many = len(chosen) > OWN_SHAPES
        for path in watch(chosen):
            try:
                heads[path] = self.head(path)
            except Exception as error:  # whatever a file holds, the others are shown
                excluded.append(Excluded(printable(path), as_file_error(path, error).reason))
        excluded += [Excluded(printable(path), f"more than {most} heads on a page") for path in every[most:]]
        return heads, excluded

    def head(self, path: Path) -> ViewedHead:
        """The head of a file and of what lies beside it under its name.

        Raises:
            FileError: it cannot be used.
        """
        suffix = path.suffix.lower()
        if path.is_dir() or suffix in MODELS:
            return self._of_model(path)
        if suffix not in (*MESHES, ".json"):
            raise FileError(path, f"expected one of {', '.join((*MESHES, '.json', *MODELS))}")
        result = path if suffix == ".json" else path.with_suffix(".json")
        content = _content(result, path) if result.is_file() else None
        surface = path.with_suffix(".glb") if suffix == ".json" else path
        if surface.suffix.lower() == ".glb" and surface.is_file():
            head = self._of_whole(surface) or self._of_glb(surface)
        elif content is not None and self._has_code(content) and (suffix == ".json" or "camera" in content):
            head = self._of_code(path, content)
        elif suffix != ".json":
            head = self._of_mesh(path)
        elif content is not None and (beside := _mesh_beside(path)):
            head = self._of_mesh(beside)
        else:
            name = (content or {}).get("model")
            raise FileError(
                path, f"needs its face model ({name!r}): give it with --model, or keep the .glb beside it"
            )
        return head if content is None else _with_photo(head, _pictured(content))

    def _of_whole(self, path: Path) -> ViewedHead | None:
        carried = read_carried(path)
        if carried is None or not self._has_code(carried.extras):
            return None
        return self._of_code(path, {**carried.extras, "expression": carried.weights}, carried.texture)

    def _of_glb(self, path: Path) -> ViewedHead:
        read = read_partly_textured_glb(path)
        mesh, names = Mesh.of(read.mesh), tuple(read.shapes)
        deltas = np.stack(list(read.shapes.values())) if names else np.zeros((0, len(mesh.vertices), 3), np.float32)
        rig = self._rig(mesh, Shapes(names, deltas), read.covered)
        return ViewedHead.of_mesh(path.stem, mesh, rig, weights=dict(zip(names, read.weights.tolist(), strict=True)))

    def _of_mesh(self, path: Path) -> ViewedHead:
        mesh = Mesh.load(path)
        return ViewedHead.of_mesh(path.stem, mesh, self._rig(mesh, Shapes((), np.zeros((0, len(mesh.vertices), 3)))))

    def _of_code(self, path: Path, content: Mapping[str, Any], texture: np.ndarray | None = None) -> ViewedHead:
        model = self._model()
        try:
            albedo = content.get("albedo") or {}
            mesh = model.mesh(
                np.array(content["identity"], np.float32),
                albedo=np.array([albedo.get(name, 0.0) for name in model.albedo_names], np.float32),
            )
            weights = {str(name): float(weight) for name, weight in (content.get("expression") or {}).items()}
            if not np.isfinite([*weights.values()]).all():
                raise ValueError("expected finite weights of expressions")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
            raise FileError(path, f"expected {RESULT}, got a damaged one ({error})") from error
        if texture is not None:
            mesh = replace(mesh, colors=None, texture=texture)
        if not has_whole_head(model):
            rig = self._rig(mesh, Shapes(model.expression_names, model.expression_basis))
            return ViewedHead.of_mesh(path.stem, mesh, rig, weights=weights)
        head = ViewedHead.of_model(path.stem, model, mesh, self._whole, weights=weights)
        self._whole = head.rig if self._are_many else None
        return head

    def _of_model(self, path: Path) -> ViewedHead:
        model = load_model(path)
        mesh = model.mesh(
            np.zeros(len(model.identity_basis), np.float32), albedo=np.zeros(len(model.albedo_names), np.float32)
        )
        note = "The mean of a face model."
        return ViewedHead.of_model(model.name, model, mesh, directions=MODEL_DIRECTIONS, note=note)

    def _rig(self, mesh: Mesh, shapes: Shapes, covered: np.ndarray | None = None) -> Rig:
        """The rig of a mesh: one that another head has, the face model's, or a new one."""
        for rig in (*self._rigs, *self._model_rig()):
            if rig.fits(mesh, shapes.names) and _same_layout(rig, mesh, covered):
                break
        else:
            rig = Rig(mesh, shapes, covered=covered)
        if all(rig is not known for known in self._rigs):
            self._rigs.append(rig)
        return rig

    def _model_rig(self) -> Iterator[Rig]:
        if not any(rig.model for rig in self._rigs):
            yield Rig.of_model(self._model())

    def _model(self) -> FaceModel:
        if self.model is None:
            self.model = FaceModel.load(asset("face_model.npz"))
        return self.model

    def _has_code(self, content: Mapping[str, Any]) -> bool:
        return "identity" in content and content.get("model") == self._model().name


def _one_of_each(paths: Iterable[Path]) -> Iterable[Path]:
    """Files as given; of folders, one file of each name below, the one that says most. A folder may be a model."""
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise FileError(path, "is not there")
            yield path
            continue
        best: dict[Path, Path] = {}
        for file in sorted(path.rglob("*")):
            suffix = file.suffix.lower()
            if any(part.startswith(".") for part in file.relative_to(path).parts):
                continue
            if suffix in MESHES or (suffix == ".json" and _is_result(file)):
                best[file.with_suffix("")] = min(best.get(file.with_suffix(""), file), file, key=_rank)
        if not best:
            raise FileError(path, f"expected a folder of results or meshes ({', '.join(MESHES)}), found none")
        yield from (best[name] for name in sorted(best, key=_in_order))


def _in_order(path: Path) -> list[list[str | int]]:
    """To sort by: folder by folder, numbers by their size (person-2 before person-10, clip before clip-2)."""
    pieces = (re.split(r"(\d+)", part) for part in path.parts)
    return [[int(one) if number % 2 else one for number, one in enumerate(row)] for row in pieces]


def _rank(path: Path) -> int:
    return (".glb", ".json", ".obj", ".ply", ".stl").index(path.suffix.lower())


def _is_result(path: Path) -> bool:
    try:
        content = read_json(path, RESULT, largest=MAX_BYTES)
    except FileError:
        return False
    return isinstance(content, dict) and {"model", "identity"} <= set(content)


def _mesh_beside(path: Path) -> Path | None:
    found = (path.with_suffix(suffix) for suffix in MESHES)
    return next((mesh for mesh in found if mesh.is_file()), None)


def _content(result: Path, asked: Path) -> dict[str, Any] | None:
    """A result's JSON; a file beside another one that is none does not matter."""
    if result != asked and not _is_result(result):
        return None
    content = read_json(result, RESULT, largest=MAX_BYTES)
    if not isinstance(content, dict):
        raise FileError(result, f"expected {RESULT}, got a {type(content).__name__}")
    return content


def _same_layout(rig: Rig, mesh: Mesh, covered: np.ndarray | None) -> bool:
    """Whether a mesh's texture, if it has one, lies on a rig as it does on the mesh."""
    known = rig.mesh
    if mesh.uv is None or mesh.texture is None:
        return True
    if known.uv is None or known.uv_triangles is None or mesh.uv_triangles is None:
        return False
    if (rig.covered is None) != (covered is None):
        return False
    if rig.covered is not None and covered is not None and not np.array_equal(rig.covered, covered):
        return False
    return bool(np.allclose(known.uv[known.uv_triangles], mesh.uv[mesh.uv_triangles], atol=1e-5))


def _pictured(content: dict[str, Any]) -> dict[str, Any]:
    """The part of a result that tells of a photo: of a person's, the one that tells most."""
    photos = content.get("photos")
    if not isinstance(photos, list) or not photos:
        return content
    return max((p for p in photos if isinstance(p, dict)), key=lambda p: float(p.get("precision", 0)), default={})


def _with_photo(head: ViewedHead, content: dict[str, Any]) -> ViewedHead:
    """The head with its photo, if that is where the result says and still the same."""
    source = content.get("source")
    if "video" in content:
        return replace(head, note="Of a video, which is not shown here.")
    if "camera" not in content or not isinstance(source, dict) or not source.get("path"):
        return head
    path = str(source["path"])
    try:
        photo = load_photo(path)
        camera = Camera.from_dict(content["camera"])
        if photo.sha256 != source.get("sha256", photo.sha256) or photo.size != camera.size:
            return replace(head, note="Its photo has changed since.")
        rotation = np.array(content["rotation"], np.float64).reshape(3, 3)
        translation = np.array(content["translation"], np.float64).reshape(3)
        if not np.isfinite([*rotation, translation]).all():
            raise ValueError("expected a finite rotation and translation")
    except FileError as error:
        return replace(head, note=f"Its photo cannot be shown: {error.reason}.")
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(path, f"expected the camera of a result ({error})") from error
    return replace(head, photo=FittedPhoto(photo.image, camera, rotation, translation).around(head.vertices))
