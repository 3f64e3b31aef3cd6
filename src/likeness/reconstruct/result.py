"""One reconstructed face: what was found, the mesh of it, and the files that it is saved to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from likeness.errors import StrPath, printable
from likeness.files import output_paths, write_atomically
from likeness.geometry.camera import Camera
from likeness.images.encode import png_bytes
from likeness.mesh import Mesh
from likeness.mesh.assembly import Assembly
from likeness.model.face_model import Coefficients, FaceModel
from likeness.model.head import whole_head
from likeness.reconstruct.overview import Sitter, overview
from likeness.reconstruct.posterior import HeadSize, ShapePosterior
from likeness.reconstruct.rigged import posed_files, rigged_files, rounded
from likeness.reconstruct.texture import View, light_on, normal_map_of, texture_of
from likeness.reconstruct.viewed import TEXTURE, Viewable, viewed_face
from likeness.result_folder import ResultFolder, Source
from likeness.result_names import fitted
from likeness.view.heads import Rig, ViewedHead

FORMATS = ("glb", "obj", "json", "png")

NETWORK = "network"
"""Who places points by default."""


@dataclass(frozen=True, eq=False)
class Cues:
    """What one photo says of a person besides the code (:mod:`likeness.reconstruct.people`).

    Args:
        features: (K,) the code that the network's features alone say.
        fitted: (K,) the code that the points alone say, under the population's prior.
        expression: (E,) the weights that fit the points with that code.
        precision: how much the photo tells of the person's shape; 1: as much as a usual one.
        network: sha256 of the network's file, for how its codes are compared; empty: as they are.
    """

    features: np.ndarray
    fitted: np.ndarray
    expression: np.ndarray
    precision: float
    network: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Reconstruction(Viewable):
    """A face of a photograph as a 3D head.

    Args:
        model: the face model that the coefficients belong to.
        coefficients: identity, expression, albedo and light of this face, without batch dimensions.
        camera: of the photo; its principal point is the photo's centre.
        rotation: (3, 3) model axes -> camera axes.
        translation: (3,) mm; ``pixel = project(camera, rotation @ x + translation)``.
        landmarks: (68, 2) iBUG points, photo pixels: of the network's points and, where one is fitted, of the head.
        box: (4,) x0 y0 x1 y1 around the landmarks, photo pixels.
        score: 0 to 1, the chance that this is a face the right way up, 0.9995 of one look that leaves no doubt; a
            network that places no points says only what it believes.
        photo: (H, W, 3) uint8 RGB, the upright photo.
        name: of the photo, without folder and suffix.
        network: what the network's file calls itself.
        source: the photo's file.
        number: of this face among the photo's, best first, from 1.
        points: (P, 2) surface points (:class:`likeness.model.surface_points.PointMap`) where the network saw them,
            photo pixels; None: it places none.
        deviation: (P,) their standard deviations along each axis, as the network judges them, photo pixels.
        cues: what other photos of the person are compared and fused with; None: nothing was fitted to points.
        points_by: who placed them: ``network``, ``mediapipe``, or nobody.
        posterior: how sure the shape is; None where it was not fitted to points.
        tint: (3,) log reflectance of the skin over what the albedo weights say; None: nothing is known of it.
    """

    model: FaceModel
    coefficients: Coefficients
    camera: Camera
    rotation: np.ndarray
    translation: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray
    score: float
    photo: np.ndarray
    name: str = "face"
    network: str = ""
    source: Source = field(default_factory=Source)
    number: int = 1
    points: np.ndarray | None = None
    deviation: np.ndarray | None = None
    cues: Cues | None = None
    points_by: str = ""
    posterior: ShapePosterior | None = None
    tint: np.ndarray | None = None

    @property
    def uncertainty(self) -> np.ndarray:
        """(V,) mm: how unsure each vertex of the head at rest is, as a standard deviation along an axis (root mean
        square of three), after rigid alignment.

        Raises:
            ValueError: the head was not fitted to points.
        """
        return self._posterior().uncertainty

    @property
    def size(self) -> HeadSize:
        """How large the head is and how unsure that is: what the model's population has for such a shape, since no
        photo shows it.

        Raises:
            ValueError: the head was not fitted to points.
        """
        return self._posterior().size

    def sample(self, count: int, seed: int | np.random.Generator = 0) -> np.ndarray:
        """Heads (count, V, 3) mm at rest that the photo leaves possible, drawn from the posterior.

        Raises:
            ValueError: count < 1, or the head was not fitted to points.
        """
        return self._posterior().sample(count, seed)

    def _posterior(self) -> ShapePosterior:
        if self.posterior is None:
            raise ValueError("expected a head that was fitted to points, got a network's own answer")
        return self.posterior

    def vertices(self, neutral: bool = False) -> np.ndarray:
        """Vertices (V, 3) mm in model axes, with this photo's expression or at rest."""
        expression = None if neutral else self.coefficients.expression
        return self.model.vertices(self.coefficients.identity, expression)

    def mesh(self, neutral: bool = False, texture: np.ndarray | None = None) -> Mesh:
        """The head as a coloured :class:`likeness.Mesh` in model axes (mm), with expression or at rest.

        Args:
            neutral: at rest.
            texture: (S, S, 3) uint8, what :meth:`texture` gave; None: colours of the face model at the vertices.
        """
        expression = None if neutral else self.coefficients.expression
        albedo = self.coefficients.albedo if texture is None else None
        return replace(self.model.mesh(self.coefficients.identity, expression, albedo), texture=texture)

    def whole(self, texture: np.ndarray | None = None) -> Assembly:
        """The whole head at rest, as ``NAME.glb`` has it: skin, mouth, eyes, teeth and tongue with joints
        (:func:`likeness.model.head.whole_head`).

        Args:
            texture: (S, S, 3) uint8, what :meth:`texture` gave; None: colours of the face model at the vertices.

        Raises:
            ValueError: the face model does not know eyes and mouth.
        """
        return whole_head(self.model, self.mesh(neutral=True, texture=texture))

    def texture(self, size: int = 1024, others: Sequence[Reconstruction] = (), *, relight: bool = True) -> np.ndarray:
        """The person's own skin, from the photo: reflectance without the photo's light, in the model's texture
        coordinates (:func:`likeness.reconstruct.texture.texture_of`).

        Args:
            size: of the texture's side, texels, 64 to 8192.
            others: the same person in other photos, which see more.
            relight: take the photo's light out; if not, the photo's colours are kept as they are.

        Returns:
            (size, size, 3) uint8 sRGB.

        Raises:
            ValueError: a size that cannot be, another model in ``others``, or one without texture coordinates.
        """
        return texture_of(self.model, self._albedo(others), self._views(others), size, relight=relight)

    def normal_map(self, size: int = 1024, others: Sequence[Reconstruction] = ()) -> np.ndarray:
        """Wrinkles and pores, (size, size, 3) uint8 (:func:`likeness.reconstruct.texture.normal_map_of`); as
        :meth:`texture`."""
        return normal_map_of(self.model, self._albedo(others), self._views(others), size)

    def _albedo(self, others: Sequence[Reconstruction]) -> np.ndarray:
        """(V, 3) linear reflectance by the model, by all photos: each has erred about the colour of the skin."""
        return self.model.albedo(np.mean([face.coefficients.albedo for face in (self, *others)], axis=0))

    def _views(self, others: Sequence[Reconstruction]) -> list[View]:
        if any(other.model is not self.model for other in others):
            raise ValueError("expected faces of one model")
        return [face.texture_view() for face in (self, *others)]

    def texture_view(self) -> View:
        """What a texture needs of the photo."""
        pose, light = (self.camera, self.rotation, self.translation), self.coefficients.light
        return View(self.photo, self.vertices(), *pose, light, self.landmarks, self.tint)

    def _viewed(self, rig: Rig | None, skin: np.ndarray | None) -> ViewedHead:
        found = self.coefficients
        return viewed_face(self, rig, self.name, found.identity, found.albedo, skin, found.expression)

    def overview(self, height: int | None = None, texture: np.ndarray | None = None) -> np.ndarray:
        """What ``NAME.png`` shows, uint8 RGB: the photo and the head with the photo's expression from the front and
        turned, with its texture (S, S, 3) uint8 or, without, in the model's colours; below, the head over the photo,
        and grey, at rest. Each of the six is ``height`` pixels high; None: 480 to 640, by the photo."""
        rest = self.mesh(neutral=True, texture=texture)
        return overview(
            self.photo,
            Sitter(self.model, rest),
            self.coefficients.expression,
            self.camera,
            self.rotation,
            self.translation,
            light_on(self.texture_view(), self.model, rest),
            height,
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``NAME.json`` holds: everything but the meshes and the photo, as plain numbers."""
        found = self.coefficients
        return {
            "photo": printable(self.name),
            "source": self.source.to_dict(),
            "face": self.number,
            "photo_size": list(self.camera.size),
            "model": self.model.name,
            "network": self.network,
            "points_by": self.points_by,
            "score": round(self.score, 5),
            "box": rounded(self.box, 2),
            "landmarks": rounded(self.landmarks, 2),
            "camera": self.camera.to_dict(),
            "rotation": rounded(self.rotation, 7),
            "translation": rounded(self.translation, 4),
            "identity": rounded(self.coefficients.identity, 5),
            "expression": dict(zip(self.model.expression_names, rounded(found.expression, 5), strict=True)),
            "albedo": dict(zip(self.model.albedo_names, rounded(found.albedo, 5), strict=True)),
            "tint": None if self.tint is None else rounded(self.tint, 5),
            "light": rounded(self.coefficients.light, 5),
            **self._doubt(),
        }

    def _doubt(self) -> dict[str, Any]:
        """Size and mean uncertainty over the face, mm, where they are known."""
        if self.posterior is None:
            return {}
        size = self.size
        return {
            "size": {"interocular_mm": round(size.interocular, 2), "deviation_mm": round(size.deviation, 2)},
            "uncertainty_mm": round(float(self.posterior.face_uncertainty.mean()), 3),
        }

    def save(
        self,
        folder: StrPath,
        formats: Iterable[str] = FORMATS,
        name: str | None = None,
        *,
        texture: int | None = TEXTURE,
        normal_map: bool = False,
        overwrite: bool = False,
    ) -> dict[str, Path]:
        """Write ``NAME.glb`` (the whole head at rest, :meth:`whole`, with this photo's weights as default),
        ``NAME.obj`` (with expression; ``NAME.mtl`` and ``NAME-texture.jpg`` or ``.png`` beside it), ``NAME.json``
        (:meth:`to_dict`) and ``NAME.png`` (:meth:`overview`).

        Args:
            folder: is made if missing.
            formats: any of :data:`FORMATS`.
            name: file name without suffix, with folders if you like; default: the photo's.
            texture: side of the skin's texture, texels (:meth:`texture`); None, or a model without texture
                coordinates: colours at the vertices. Above 512 it is stored as JPEG.
            normal_map: with a texture also :meth:`normal_map`, in ``NAME.glb`` and as ``NAME-normal.png``.
            overwrite: also replace files that are no earlier results of this photo (or, of an array, of an array), or
                were changed since. What :mod:`likeness.result_folder` has on record is replaced in any case.

        Returns:
            format -> path of what was written.

        Raises:
            ValueError: an unknown format, or a normal map without a texture.
            FileError: the folder cannot be made or written to, or a file there belongs to somebody else; nothing is
                written then.
        """
        return save_head(self, folder, formats, name, texture, overwrite, normal_map)

    def files(
        self,
        formats: Iterable[str] = FORMATS,
        name: str | None = None,
        *,
        texture: int | None = TEXTURE,
        normal_map: bool = False,
    ) -> dict[str, bytes]:
        """What :meth:`save` writes, in memory: the files' names -> their content. Arguments as of :meth:`save`."""
        return files_of(self, formats, name or fitted(self.name), texture, normal_map)

    def _glb_files(
        self, name: str, skin: np.ndarray | None, whole: bool = True, relief: np.ndarray | None = None
    ) -> dict[str, bytes]:
        extras = {"source": self.source.to_dict()}
        return rigged_files(name, self.model, self.coefficients, self.name, extras, skin, whole, relief)

    def _obj_files(
        self, name: str, skin: np.ndarray | None, whole: bool = True, relief: np.ndarray | None = None
    ) -> dict[str, bytes]:
        rest = self.mesh(neutral=True, texture=skin)
        return posed_files(name, self.model, rest, self.coefficients.expression, whole, relief)

    def _json_files(self, name: str, skin: np.ndarray | None) -> dict[str, bytes]:
        return {f"{name}.json": (json.dumps(self.to_dict(), indent=1) + "\n").encode()}

    def _png_files(self, name: str, skin: np.ndarray | None) -> dict[str, bytes]:
        return {f"{name}.png": png_bytes(self.overview(texture=skin))}


class Head(Protocol):
    """What :func:`head_files` asks of a result, besides a method ``_FORMAT_files(name, skin)`` for each format."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> FaceModel: ...
    @property
    def source(self) -> Source: ...
    def texture(self, size: int = ...) -> np.ndarray: ...
    def normal_map(self, size: int = ...) -> np.ndarray: ...


def skin_of(head: Head, formats: Iterable[str], texture: int | None) -> np.ndarray | None:
    """A head's texture (S, S, 3) uint8, where it is asked for, a format shows it and the model has coordinates."""
    if texture is None or not len(head.model.topology.uv) or not set(formats) - {"json"}:
        return None
    return head.texture(texture)


def files_of(
    head: Head, formats: Iterable[str], name: str, texture: int | None, normal_map: bool
) -> dict[str, bytes]:
    """A head's files with what it is painted with; arguments as of :meth:`Reconstruction.save`."""
    if normal_map and texture is None:
        raise ValueError("expected a texture beside a normal map, got none")
    skin = skin_of(head, formats := tuple(formats), texture)
    relief = head.normal_map(len(skin)) if normal_map and skin is not None and set(formats) - {"png"} else None
    return head_files(head, formats, name, skin, relief=relief)


def head_files(
    head: Head,
    formats: Iterable[str],
    name: str,
    skin: np.ndarray | None,
    whole: bool = True,
    relief: np.ndarray | None = None,
) -> dict[str, bytes]:
    """A head's files: names, with ``/`` between folders, -> contents; an OBJ file after what it names.

    Args:
        head: the result.
        formats: any of :data:`FORMATS`.
        name: of the files, without suffix.
        skin, relief: texture and normal map (S, S, 3) uint8; None: colours at the vertices, no normal map.
        whole: if not, ``glb`` and ``obj`` have one mesh of the model's own vertices.

    Raises:
        ValueError: an unknown format.
    """
    unknown = set(formats := tuple(formats)) - set(FORMATS)
    if unknown:
        raise ValueError(f"expected formats of {FORMATS}, got {sorted(unknown)}")
    files: dict[str, bytes] = {}
    for format in formats:
        asked = {"whole": whole, "relief": relief} if format in ("glb", "obj") else {}
        files |= getattr(head, f"_{format}_files")(name, skin, **asked)
    return files


def save_head(
    head: Head,
    folder: StrPath,
    formats: Iterable[str],
    name: str | None,
    texture: int | None,
    overwrite: bool,
    normal_map: bool = False,
) -> dict[str, Path]:
    """Write a head's files, all or none; arguments, return and errors as of :meth:`Reconstruction.save`."""
    name, formats = name or fitted(head.name), tuple(formats)
    files = files_of(head, formats, name, texture, normal_map)

    def write(stage: Path) -> None:
        output_paths(stage, name, formats, FORMATS)  # makes folders of the name
        for file, data in files.items():
            write_atomically(stage / file, data)

    ResultFolder(folder, "reconstruct", overwrite=overwrite).save(name, head.source, write)
    return {format: Path(folder) / f"{name}.{format}" for format in formats}
