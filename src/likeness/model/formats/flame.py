"""FLAME 2020 and 2023 (Li et al., "Learning a model of facial shape and expression from 4D scans", 2017).

Layout of ``generic_model.pkl``, ``flame2023.pkl`` and the like (a pickled dict, by Python 2 with chumpy arrays) and
of the ``.npz`` with the same keys: ``v_template`` (V, 3), ``shapedirs`` (V, 3, 400), of which 300 for identity and
100 for expression, ``f`` (F, 3) from 0; joints, pose corrections and weights are not used: the jaw and the neck do
not turn. Metres; axes are ours. Shape = template + shapedirs · (β, ψ); ψ is about N(0, 1), so weights may be
negative.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.model.formats.arrays import Npz
from likeness.model.formats.assembly import Parts, numbered, points
from likeness.model.formats.flame_companions import check_model
from likeness.model.formats.pickles import as_array, load_pickle

IDENTITY, EXPRESSION = 300, 100


def read_flame_pickle(path: StrPath) -> Parts:
    """A FLAME ``.pkl``, without chumpy and without running it; see :mod:`likeness.model.formats.pickles`.

    Raises:
        FileError: truncated, hostile, or not FLAME.
    """
    content: Any = load_pickle(path, read_bytes(path))
    if not isinstance(content, dict):
        raise FileError(path, "expected FLAME's dict with v_template, shapedirs and f")
    check_model(path, content)
    return _parts(path, lambda key: as_array(content.get(key)))


def read_flame_npz(path: StrPath, arrays: Npz) -> Parts:
    """FLAME as ``.npz``.

    Raises:
        FileError: truncated, or not FLAME.
    """

    def get(key: str) -> np.ndarray:
        values = arrays[key]
        return (
            as_array(values.item()) if values.dtype == object else values
        )  # an object: a chumpy array kept as it was

    return _parts(path, get)


def _parts(path: StrPath, get: Callable[[str], np.ndarray]) -> Parts:
    arrays = {}
    for key in ("v_template", "shapedirs", "f"):
        try:
            arrays[key] = get(key)
        except ValueError as error:
            raise FileError(path, f"expected FLAME with an array {key!r}: {error}") from error
    template, directions, triangles = arrays["v_template"], arrays["shapedirs"], arrays["f"]
    mean = points("v_template", template)
    if directions.shape != (len(mean), 3, IDENTITY + EXPRESSION) or directions.dtype.kind != "f":
        raise FileError(path, f"expected FLAME's shapedirs ({len(mean)}, 3, 400), got {directions.shape}")
    basis = directions.transpose(2, 0, 1).astype(np.float32)
    return Parts(
        name=Path(path).stem,
        unit=1000.0,
        mean=mean,
        triangles=triangles,
        identity=basis[:IDENTITY],
        expression=basis[IDENTITY:],
        expression_names=numbered(EXPRESSION),
    )
