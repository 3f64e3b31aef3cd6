"""One person as several photos show them: one head, and the files that it is saved to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import Excluded, StrPath, printable
from likeness.fit import vertex_std
from likeness.images.encode import png_bytes
from likeness.mesh import Mesh
from likeness.model.face_model import Coefficients, FaceModel
from likeness.reconstruct.result import FORMATS, TEXTURE, Reconstruction, files_of, save_head
from likeness.reconstruct.rigged import posed_files, rigged_files, rounded
from likeness.reconstruct.texture import View, normal_map_of, texture_of
from likeness.reconstruct.viewed import Viewable, viewed_face
from likeness.result_folder import Source
from likeness.result_names import fitted
from likeness.view.heads import Rig, ViewedHead

PAINTED = 6
"""How many photos a texture is made of at most; each takes about a third of a second at 1024 texels."""


@dataclass(frozen=True, eq=False, repr=False)
class Person(Viewable):
    """A person's head from several photos.

    Args:
        model: the face model.
        identity: (K,) the code that all photos share.
        photos: each photo's own pose, camera and expression with the shared code, in the order given. Pixels are
            there for the most precise photos, as far as :data:`likeness.reconstruct.people.KEPT_BYTES` go; others'
            are (0, 0, 3).
        precision: (N,) how much each photo tells of the shape; 1: as much as a usual one that is like no other.
        effective: how many usual photos that err independently they are worth together.
        covariance: (K, K) of the code; None where nothing was fitted to points.
        left_out: photos without the person, each with the reason.
        name: what results are called.
        source: what they are made of.
    """

    model: FaceModel
    identity: np.ndarray
    photos: tuple[Reconstruction, ...]
    precision: np.ndarray
    effective: float
    covariance: np.ndarray | None = None
    left_out: tuple[Excluded, ...] = ()
    name: str = "person"
    source: Source = Source()  # noqa: RUF009  # frozen

    @cached_property
    def albedo(self) -> np.ndarray:
        """(A,) the photos' mean, by their precision."""
        every = np.stack([photo.coefficients.albedo for photo in self.photos])
        return np.asarray(np.average(every, axis=0, weights=self.precision), np.float32)

    @cached_property
    def uncertainty(self) -> np.ndarray | None:
        """(V,) mm by which each vertex may be off, root mean square over x, y and z; None where it is not known."""
        if self.covariance is None:
            return None
        return vertex_std(self.model.identity_basis, self.covariance)

    @property
    def best(self) -> Reconstruction:
        """The photo that tells most."""
        return self.photos[int(np.argmax(self.precision))]

    def vertices(self) -> np.ndarray:
        """Vertices (V, 3) mm of the head at rest, model axes."""
        return self.model.vertices(self.identity)

    def mesh(self, texture: np.ndarray | None = None) -> Mesh:
        """The head at rest as a coloured :class:`likeness.Mesh`, model axes, mm; with a ``texture`` (S, S, 3) uint8,
        as :meth:`texture` gives it, or the model's colours at the vertices."""
        mesh = self.model.mesh(self.identity, albedo=self.albedo if texture is None else None)
        return replace(mesh, texture=texture)

    def texture(self, size: int = TEXTURE, *, relight: bool = True) -> np.ndarray:
        """The person's own skin from photos whose pixels are there, the most precise ones, :data:`PAINTED` at most.

        Args, returns and raises as :meth:`likeness.Reconstruction.texture`.
        """
        return texture_of(self.model, self.model.albedo(self.albedo), self._painting(), size, relight=relight)

    def normal_map(self, size: int = TEXTURE) -> np.ndarray:
        """Wrinkles and pores from the same photos, for the texture: :meth:`likeness.Reconstruction.normal_map`."""
        return normal_map_of(self.model, self.model.albedo(self.albedo), self._painting(), size)

    def _painting(self) -> list[View]:
        """The photos of which the texture is made."""
        order = np.argsort(-self.precision, kind="stable")
        with_pixels = [self.photos[row] for row in order if self.photos[row].photo.size]
        return [photo.texture_view() for photo in with_pixels[:PAINTED]]

    def _viewed(self, rig: Rig | None, skin: np.ndarray | None) -> ViewedHead:
        at_rest = np.zeros(len(self.model.expression_names), np.float32)
        return viewed_face(self.best, rig, self.name, self.identity, self.albedo, skin, at_rest)

    def overview(self, height: int | None = None, texture: np.ndarray | None = None) -> np.ndarray:
        """What ``NAME.png`` shows: :meth:`likeness.Reconstruction.overview` of the photo that tells most."""
        return self.best.overview(height, texture)

    def to_dict(self) -> dict[str, Any]:
        """What ``NAME.json`` holds: the shared head, each photo's own numbers, and what was left out."""
        shared = ("model", "network", "identity", "albedo")
        photos = []
        for photo, precision in zip(self.photos, self.precision, strict=True):
            own = {key: value for key, value in photo.to_dict().items() if key not in shared}
            photos.append({**own, "precision": round(float(precision), 4)})
        albedo = (round(float(weight), 5) for weight in self.albedo)
        found: dict[str, Any] = {
            "person": printable(self.name),
            "source": self.source.to_dict(),
            "model": self.model.name,
            "network": self.photos[0].network,
            "identity": rounded(self.identity, 5),
            "albedo": dict(zip(self.model.albedo_names, albedo, strict=True)),
            "effective_photos": round(self.effective, 3),
            "photos": photos,
            "left_out": [{"photo": printable(one.item), "reason": printable(one.reason)} for one in self.left_out],
        }
        if self.uncertainty is not None:
            face = self.model.topology.regions.get("face", np.ones(len(self.uncertainty), bool))
            found["uncertainty_mm"] = round(float(np.sqrt((self.uncertainty[face] ** 2).mean())), 3)
        return found

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
        """Write ``NAME.glb`` and ``NAME.obj`` (the head at rest; in the GLB with the blendshapes), ``NAME.json``
        (:meth:`to_dict`) and ``NAME.png``.

        Args, returns and raises as :meth:`likeness.Reconstruction.save`.
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
        light = self.best.coefficients.light
        face = Coefficients(self.identity, np.zeros(len(self.model.expression_names), np.float32), self.albedo, light)
        extras = {"source": self.source.to_dict(), "photos": len(self.photos)}
        return rigged_files(name, self.model, face, self.name, extras, skin, whole, relief)

    def _obj_files(
        self, name: str, skin: np.ndarray | None, whole: bool = True, relief: np.ndarray | None = None
    ) -> dict[str, bytes]:
        return posed_files(name, self.model, self.mesh(skin), whole=whole, relief=relief)

    def _json_files(self, name: str, skin: np.ndarray | None) -> dict[str, bytes]:
        return {f"{name}.json": (json.dumps(self.to_dict(), indent=1) + "\n").encode()}

    def _png_files(self, name: str, skin: np.ndarray | None) -> dict[str, bytes]:
        return {f"{name}.png": png_bytes(self.overview(texture=skin))}

    def called(self, name: str, source: Source) -> Person:
        """The same person under a name, made of ``source``."""
        return replace(self, name=name, source=source)
