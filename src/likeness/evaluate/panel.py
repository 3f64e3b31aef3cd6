"""The visual test of the papers: do the shapes of one person look alike, and unlike the others'?

For every photo stand side by side: the photo, the neutral grey shape, the shape in the colours of its distance to the
mean of the *same* person's other photos, and the same to the mean of the *other* people. A method that reconstructs
recognisable shapes has a pale third and a dark fourth picture; one that gives everybody the mean face has two pale
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from likeness.evaluate.collection import Collection
from likeness.evaluate.pictures import Stage, photo_of, stage_of
from likeness.images.color import linear_from_srgb
from likeness.render.close_up import labelled
from likeness.render.error_map import color_bar, error_colors
from likeness.render.lighting import ambient_light, distant_light

PEOPLE, PHOTOS = 6, 3
TILE = 120
"""Of a picture, pixels."""

_GAP = 10


@dataclass(frozen=True, eq=False)
class Differences:
    """How a shape differs from its person's mean and from the others' mean.

    Args:
        number: of the face in the collection.
        own: (V,) mm, distance of each vertex to the mean of the person's other faces.
        others: (V,) mm, to the mean over the means of all other people.
    """

    number: int
    own: np.ndarray
    others: np.ndarray

    def rms(self, region: np.ndarray) -> tuple[float, float]:
        """Root mean square of both over the vertices of a region (V,), mm."""
        own, others = (float(np.sqrt(np.square(part[region]).mean())) for part in (self.own, self.others))
        return own, others


def differences(collection: Collection, people: int = PEOPLE, photos: int = PHOTOS) -> list[list[Differences]]:
    """For some people (evenly spaced in the order of their names, of those with two faces or more) the differences of
    some of their faces, spread over their groups.

    A face is left out of its person's mean: with it, the mean of few photos would be near to each by itself.

    Raises:
        ValueError: shapes are not known, or there are not two people, one of them with two faces.
    """
    names, person, counts = np.unique(collection.labels, return_inverse=True, return_counts=True)
    usable = np.flatnonzero(counts >= 2)
    if len(names) < 2 or not len(usable):
        raise ValueError("expected at least two people, and one with two faces, for a panel")
    shown = usable[np.unique(np.linspace(0, len(usable) - 1, people).round().astype(int))]
    centres, shape_of = _centres(collection, person)
    rows = []
    for number in shown:
        mine = np.flatnonzero(person == number)
        own = shape_of(centres[number])
        # The mean over people, so that a person with many photos is not "the others".
        others = shape_of((centres.sum(0) - centres[number]) / (len(names) - 1))
        chosen = mine[np.unique(np.linspace(0, len(mine) - 1, photos).round().astype(int))]
        shapes = [np.asarray(collection.vertices(int(face)), np.float64) for face in chosen]
        total = len(mine) * own
        rows.append(
            [
                Differences(
                    int(face),
                    np.linalg.norm(shape - (total - shape) / (len(mine) - 1), axis=1),
                    np.linalg.norm(shape - others, axis=1),
                )
                for face, shape in zip(chosen, shapes, strict=True)
            ]
        )
    return rows


def limit_of(rows: Sequence[Sequence[Differences]], region: np.ndarray) -> float:
    """mm at the dark end of the colours: the 98th percentile of all that is shown, up to the next half millimetre."""
    values = np.concatenate([part[region] for row in rows for d in row for part in (d.own, d.others)])
    return float(max(np.ceil(2 * np.percentile(values, 98)) / 2, 0.5))


def panel(collection: Collection, rows: Sequence[Sequence[Differences]], tile: int = TILE) -> np.ndarray:
    """The picture, (H, W, 3) uint8 RGB: a row per person, and for each photo its tiles; a bar in mm at the right.

    Under each map stands its root mean square over the face in mm.

    Args:
        collection: whose faces these are.
        rows: of :func:`differences`.
        tile: side of a tile, pixels, at least 64.

    Raises:
        ValueError: shapes are not known, or a tile is too small.
    """
    stage = stage_of(collection)
    if stage is None or tile < 64:
        raise ValueError(f"expected shapes and tiles of at least 64 pixels, got {tile} and no shapes or no triangles")
    limit = limit_of(rows, collection.region)
    columns = max(len(row) for row in rows)
    drawn = [[_tiles(collection, stage, one, limit, tile) for one in row] for row in rows]
    width = max(group.shape[1] for row in drawn for group in row)
    lines = [_header(columns, width, tile)]
    for row, groups in zip(rows, drawn, strict=True):
        person = str(collection.labels[row[0].number])
        empty = np.full((tile, width, 3), 255, np.uint8)
        padded = [*groups, *([empty] * (columns - len(groups)))]
        lines.append(_spaced([labelled(padded[0], person), *padded[1:]]))
    picture = np.concatenate([np.pad(line, ((0, 6), (0, 0), (0, 0)), constant_values=255) for line in lines])
    bar = color_bar(limit, min(len(picture), 4 * tile))
    bar = np.pad(bar, ((0, len(picture) - len(bar)), (0, 0), (0, 0)), constant_values=255)
    return np.concatenate([picture, bar], axis=1)


def _centres(collection: Collection, person: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """One mean a person (P, ...), and what makes vertices (V, 3) mm of it: of linear models the mean code is enough,
    so that thousands of people cost no memory."""
    model = collection.model
    if collection.aligned is not None or model is None or collection.codes is None:
        return _means(collection.vertices(np.arange(len(collection))), person), _unchanged
    codes = np.asarray(model.space.project(collection.codes), np.float64)
    return _means(codes, person), lambda code: np.asarray(model.vertices(code), np.float64)


def _means(values: np.ndarray, person: np.ndarray) -> np.ndarray:
    """(P, ...) the mean of each person's values (N, ...)."""
    people = range(int(person.max()) + 1)
    return np.stack([values[person == number].mean(0, dtype=np.float64) for number in people])


def _unchanged(vertices: np.ndarray) -> np.ndarray:
    return vertices


def _tiles(collection: Collection, stage: Stage, one: Differences, limit: float, tile: int) -> np.ndarray:
    """Photo (where there is one), grey shape and both maps of a face, side by side."""
    shape, triangles = collection.vertices(one.number), collection.faces_triangles
    light = ambient_light((0.72, 0.72, 0.72)) + distant_light((-0.3, 0.4, 1.0), (0.28, 0.28, 0.28))
    photo = photo_of(collection, one.number, tile)
    parts = [] if photo is None else [photo]
    parts.append(stage.draw(shape, triangles, tile))
    for values, rms in zip((one.own, one.others), one.rms(collection.region), strict=True):
        known = np.where(collection.region, values, np.nan)
        map_ = stage.draw(shape, triangles, tile, albedo=linear_from_srgb(error_colors(known, limit)), light=light)
        parts.append(_footed(map_, f"{rms:.2f} mm"))
    return np.concatenate(parts, axis=1)


def _footed(picture: np.ndarray, text: str) -> np.ndarray:
    """The picture with a small line of text in its lower left corner."""
    height = 16
    out = picture.copy()
    out[-height:] = labelled(out[-height:], text, 0.35)
    return out


def _header(columns: int, width: int, tile: int) -> np.ndarray:
    titles = ["shape", "to own mean", "to others' mean"]
    titles = ["photo", *titles] if width > len(titles) * tile else titles
    one = np.concatenate([labelled(np.full((18, tile, 3), 255, np.uint8), title, 0.38) for title in titles], axis=1)
    return _spaced([one] * columns)


def _spaced(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.pad(part, ((0, 0), (0, _GAP), (0, 0)), constant_values=255) for part in parts], axis=1)
