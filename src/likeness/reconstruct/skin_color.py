"""What colour a face's skin is: what the network reads of it and what the photo shows, weighed.

A photo shows skin times light, and neither its exposure nor its white balance is known. Two readings of the skin are
weighed: the network's albedo, which has a face's looks to go by and is steady from photo to photo, but draws everyone
towards the middle and knows two pigments alone; and what the photo leaves when the network's light is taken out of
it, which has all of a person's own colour, but the lamp's and the camera's, too. Let g and h be log reflectance in
green, and red and blue over green (:func:`_axes`), n of the first and c of the second. With s(x, a) = a tanh(x / a),
which lets what is far off say no more than what is a little off (lamps have long tails, skins do not),

    g = g0 + spread (n_g - g0 + PHOTO s(c_g - n_g, PHOTO_REACH)),
    h = line(g) + OWN s(c_h - line(g) - CAST, OWN_REACH),

where line(g) is the colour that people of that brightness have in the mean. ``spread`` is 1 on the light side and
:data:`DARK` on the dark one: it undoes that the network draws dark skin towards the middle, where most people of its
photographs are. Light is divided by what skin is multiplied with: what the photo shows stays what it is.

Constants were measured by ``benchmarks/skin_colour.py`` (docs/texture.md says on whom).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL
from likeness.images.color import is_grey
from likeness.model.face_model import FaceModel
from likeness.reconstruct.texture.view import Sampler, View, smoothstep
from likeness.render.lighting import shade

if TYPE_CHECKING:
    from likeness.reconstruct.result import Reconstruction

PIGMENTS = ("melanin", "haemoglobin")
"""Albedo maps that cover all skin evenly."""

NOT_PLAIN = ("browDensity", "browThickness", "lashes", "underEye", "lipRed", "eyeShadow")
BEARDS = ("stubble", "moustache", "chinBeard")
"""Albedo maps where skin has other colours."""

SAMPLES, CELL_MM = 300, 4.0
"""Vertices that are looked at, at most, and how wide a place of the skin each is the mean of."""

FACING, LEAST_FACING = (0.3, 0.7), 5.0
"""Cosines between surface and ray: nothing, all; and how many vertices must be seen so, at least."""

LEAST_SHADE = 0.02
"""Of the light on a white surface, linear: in deeper shadow the harmonics are none."""

MIDDLE = np.array([-1.24, 0.52, -0.34])
"""Mean of what the network reads of 1,901 people: g, and red and blue over it."""

LINE = np.array([-0.29, 0.20])
"""By how much red and blue over green rise with g, from person to person."""

PHOTO, PHOTO_REACH = 0.5, 0.6
"""Share of the photo's brightness, and log reflectance up to which it may differ from the network's."""

DARK = 1.4
"""How much farther from the middle dark skin is than it is read."""

OWN, OWN_REACH = 0.7, 0.2
"""Share of a person's own colour, and log reflectance up to which it may differ from people of that brightness."""

CAST = np.array([0.07, -0.03])
"""Log of red and blue over green by which photographs are warm though their light is taken out: half of the median,
since skin may be warmer than the network's, too."""

RANGE = (-2.9, -0.6)
"""Log reflectance in green of the darkest and the lightest skin."""


def with_own_skin(face: Reconstruction) -> Reconstruction:
    """A reconstruction whose skin has the person's own colour: pigments and light are changed, and ``tint`` is set.

    Faces of grey photos, of models without :data:`PIGMENTS`, and of which no skin is seen are as they were.
    """
    found = face.coefficients
    names = face.model.albedo_names
    if any(name not in names for name in PIGMENTS) or not face.photo.size:
        return face
    rows, (_, maps) = _plain_skin(face.model)
    if not len(rows):
        return face
    read = plain_skin(replace(face, tint=None))
    shown = shown_skin(face)
    if shown is None:
        return face
    wanted = weighed(read, shown)
    weights, tint = _pigments(names, found.albedo, maps, wanted - read)
    brighter = np.exp(read - (wanted - tint))
    return replace(
        face,
        coefficients=replace(found, albedo=weights, light=np.asarray(found.light * brighter, found.light.dtype)),
        tint=tint,
    )


def plain_skin(face: Reconstruction) -> np.ndarray:
    """(3,) log of the linear reflectance of a face's plain skin, as albedo weights and tint have it."""
    mean, maps = _plain_skin(face.model)[1]
    found = mean + np.asarray(face.coefficients.albedo, np.float64) @ maps
    return found if face.tint is None else found + face.tint


def skin_vertices(model: FaceModel) -> np.ndarray:
    """(N,) vertices of a model's cheeks and forehead, whose colour is told."""
    return _plain_skin(model)[0]


def weighed(read: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(3,) log reflectance of plain skin, from what the network ``read`` (3,) and the photo has ``shown`` (3,)."""
    ours, photo = _axes(read), _axes(shown)
    off = ours[0] - MIDDLE[0] + PHOTO * _bounded(photo[0] - ours[0], PHOTO_REACH)
    green = float(np.clip(MIDDLE[0] + (DARK if off < 0 else 1.0) * off, *RANGE))
    line = MIDDLE[1:] + LINE * (green - MIDDLE[0])
    own = photo[1:] - line - CAST
    size = max(float(np.linalg.norm(own)), 1e-9)
    red, blue = line + OWN * own / size * _bounded(size, OWN_REACH)
    return np.array([green + red, green, green + blue])


def shown_skin(face: Reconstruction) -> np.ndarray | None:
    """(3,) log reflectance of plain skin by the photo, under the light that was found; None: the photo is grey, or
    shows none."""
    patch, found = _patch(face.model), face.coefficients
    vertices = patch.vertices(found.identity, found.expression)
    photo, camera = face.photo, face.camera
    per_mm = camera.focal / float((face.rotation @ patch.middle + face.translation)[2])
    step = max(1, int(per_mm * CELL_MM / 2))
    if step > 1:  # a quarter of the work, and of large photos a small part
        width, height = camera.size
        center = camera.center[0] / step, camera.center[1] / step
        camera = Camera(camera.focal / step, center, (-(-width // step), -(-height // step)))
        photo, per_mm = photo[::step, ::step], per_mm / step
    view = View(photo, vertices, camera, face.rotation, face.translation, found.light)
    normals, points, pixels = (
        view.normals(patch.triangles)[patch.rows],
        view.placed[patch.rows],
        view.pixels[patch.rows],
    )
    facing = -(normals * points).sum(axis=1) / np.maximum(np.linalg.norm(points, axis=1), 1e-6)
    inside = np.minimum(pixels, np.array(camera.size) - 1 - pixels).min(axis=1) > 0
    weight = inside * smoothstep(facing, *FACING)
    seen = np.rint(pixels[weight > 0]).astype(int)
    if weight.sum() < LEAST_FACING or is_grey(photo[seen[:, 1], seen[:, 0]][None]):
        return None
    color = Sampler(view, CELL_MM * per_mm)(pixels[None])[0].astype(np.float64)
    lit = shade(normals @ FRONTAL, np.ones((len(pixels), 1)), np.asarray(found.light, np.float64))
    return _median(color - np.log(np.maximum(lit, LEAST_SHADE)), weight)


@dataclass(frozen=True, eq=False)
class _Patch:
    """The part of a model's surface whose plain skin is looked at: a tenth of the whole, in a tenth of the time.

    Args:
        rows: (N,) of its P vertices those that are looked at; the others are their neighbours.
        triangles: (F, 3) of its vertices.
        mean, identity, expression: (P, 3), (K, P, 3), (E, P, 3) of the model.
        middle: (3,) of the whole mean head, mm.
    """

    rows: np.ndarray
    triangles: np.ndarray
    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    middle: np.ndarray

    def vertices(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """(P, 3) mm, model axes, of a code (K,) and weights (E,)."""
        moved = np.tensordot(identity, self.identity, 1) + np.tensordot(expression, self.expression, 1)
        return np.asarray(self.mean + moved)


@lru_cache(maxsize=2)
def _patch(model: FaceModel) -> _Patch:
    rows, triangles = skin_vertices(model), model.topology.triangles
    touched = triangles[np.isin(triangles, rows).any(axis=1)]
    kept, local = np.unique(touched, return_inverse=True)
    return _Patch(
        np.searchsorted(kept, rows),
        local.reshape(-1, 3),
        model.mean[kept],
        np.ascontiguousarray(model.identity_basis[:, kept]),
        np.ascontiguousarray(model.expression_basis[:, kept]),
        np.median(model.mean, axis=0).astype(np.float64),
    )


@lru_cache(maxsize=2)
def _plain_skin(model: FaceModel) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Vertices (N,) of cheeks and forehead, and log reflectance in the middle of them: mean (3,) and maps (A, 3)."""
    regions, names = model.topology.regions, model.albedo_names
    plain = regions.get("face", np.zeros(len(model.mean), bool)).copy()
    for name in ("eyes", "lips", "mouth"):
        plain &= ~regions.get(name, np.zeros(len(plain), bool))
    for most, maps in ((0.1, NOT_PLAIN), (0.15, BEARDS)):
        for name in set(maps) & set(names):
            size = np.abs(model.albedo_basis[names.index(name)]).max(axis=1)
            plain &= size <= most * max(float(size.max()), 1e-6)
    every = np.flatnonzero(plain)
    rows = every[np.unique(np.linspace(0, len(every) - 1, SAMPLES).round().astype(int))] if len(every) else every
    if not len(rows):
        return rows, (np.zeros(3), np.zeros((len(names), 3)))
    mean = np.median(model.albedo_mean[rows].astype(np.float64), axis=0)
    maps_there = np.median(model.albedo_basis[:, rows].astype(np.float64), axis=1)
    others = [number for number, name in enumerate(names) if name not in PIGMENTS]
    maps_there[others] = 0  # what is not on all skin is no colour of it
    return rows, (mean, maps_there)


def _pigments(
    names: tuple[str, ...], weights: np.ndarray, maps: np.ndarray, change: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Albedo weights (A,) whose skin is ``change`` (3,) lighter, in green and in red over green, and what of it is
    left, (3,)."""
    columns = [names.index(name) for name in PIGMENTS]
    both = np.stack([_axes(maps[column])[:2] for column in columns], axis=1)
    # Of maps that are alike, or empty, none is taken far: what they cannot say is left.
    step = np.linalg.lstsq(both, _axes(change)[:2], rcond=0.01)[0]
    found = np.array(weights, np.float32)
    found[columns] += step.astype(np.float32)
    return found, np.asarray(change - step @ maps[columns], np.float32)


def _axes(log_color: np.ndarray) -> np.ndarray:
    """(3,) log of RGB as log of green, of red over it, and of blue over it."""
    return np.array([log_color[1], log_color[0] - log_color[1], log_color[2] - log_color[1]])


def _bounded(value: float, most: float) -> float:
    return float(most * np.tanh(value / most))


def _median(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C,) weighted medians of values (N, C)."""
    order = np.argsort(values, axis=0)
    share = np.cumsum(weight[order], axis=0)
    middle = (share < 0.5 * share[-1]).sum(axis=0)
    return np.asarray(np.take_along_axis(values, np.take_along_axis(order, middle[None], 0), 0)[0])
