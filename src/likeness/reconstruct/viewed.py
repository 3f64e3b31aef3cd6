"""Results as heads of a page (:mod:`likeness.view`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Protocol

import numpy as np

from likeness.geometry.camera import Camera
from likeness.model.face_model import Coefficients, FaceModel
from likeness.model.head import has_whole_head
from likeness.view.heads import OWN_SHAPES, FittedPhoto, Rig, ViewedHead
from likeness.view.page import Page

TEXTURE = 1024
"""Texels of a texture's side, if nothing else is asked for."""


class FittedFace(Protocol):
    """What a photo's face has (:class:`likeness.Reconstruction`)."""

    @property
    def model(self) -> FaceModel: ...
    @property
    def coefficients(self) -> Coefficients: ...
    @property
    def camera(self) -> Camera: ...
    @property
    def rotation(self) -> np.ndarray: ...
    @property
    def translation(self) -> np.ndarray: ...
    @property
    def photo(self) -> np.ndarray: ...


class Result(Protocol):
    """What is shown of a photo's face, or of a person (:class:`likeness.reconstruct.person.Person`)."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> FaceModel: ...
    def texture(self, size: int = ...) -> np.ndarray: ...
    def _viewed(self, rig: Rig | None, skin: np.ndarray | None) -> ViewedHead: ...


def page_of(results: Sequence[Result], texture: int | None) -> Page:
    """A page of results; those of one model share its expressions and identity directions.

    Args:
        results: at least one.
        texture: side of the skins' textures, texels; None, or a model without texture coordinates: colours at the
            vertices.
    """
    shared: dict[int, Rig] = {}
    heads = []
    for result in results:
        model = result.model
        skin = result.texture(texture) if texture is not None and len(model.topology.uv) else None
        heads.append(result._viewed(shared.get(id(model)), skin))
        if len(results) > OWN_SHAPES or not has_whole_head(model):
            shared.setdefault(id(model), heads[-1].rig)
    return Page(heads, ", ".join(result.name for result in results[:3]) + (" ..." if len(results) > 3 else ""))


class Viewable:
    """Results that show themselves; a photo's face and a person's head are such."""

    def view(self: Result, *others: Result, texture: int | None = TEXTURE) -> Page:
        """A page to turn the head, move its expression and identity, and compare it with its photo and ``others``.

        A notebook shows it as a cell's last value; ``.open()`` shows it in the browser, ``.save("head.html")`` keeps
        it as one file that works without a network.

        Args:
            others: heads to compare with, on the same page.
            texture: side of the skins' textures, texels; None: colours at the vertices.
        """
        return page_of((self, *others), texture)

    def __repr__(self) -> str:
        """The words and numbers of the result, on one line: of its arrays nobody reads thousands."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        told = (f"{name}={value!r}" for name, value in values.items() if isinstance(value, str | int | float))
        return f"{type(self).__name__}({', '.join(told)})"

    def _repr_html_(self: Result) -> str:
        return page_of((self,), TEXTURE)._repr_html_()


def viewed_face(
    face: FittedFace,
    rig: Rig | None,
    name: str,
    identity: np.ndarray,
    albedo: np.ndarray,
    skin: np.ndarray | None,
    weights: np.ndarray,
) -> ViewedHead:
    """A head at rest of a code (K,) and albedo weights (A,), with the photo of ``face``; ``weights`` (E,) are the
    expression's that it starts with; ``rig`` is shared with another head."""
    mesh = replace(face.model.mesh(identity, albedo=albedo if skin is None else None), texture=skin)
    fitted: dict[str, Any] = {}
    if face.photo.size:
        posed = face.model.vertices(identity, face.coefficients.expression)
        fitted["photo"] = FittedPhoto(face.photo, face.camera, face.rotation, face.translation).around(posed)
    by_name = dict(zip(face.model.expression_names, np.asarray(weights).tolist(), strict=True))
    return ViewedHead.of_model(name, face.model, mesh, rig, weights=by_name, **fitted)
