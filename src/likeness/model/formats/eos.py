"""The Surrey Face Model, and others, as the eos library stores them: cereal's binary archives.

Layout (eos ``morphablemodel/MorphableModel.hpp``, ``PcaModel.hpp``, ``Blendshape.hpp``,
``io/eigen_cerealisation.hpp``; little-endian, no padding): uint32 version (1 to 4); shape PCA; colour PCA; from
version 2 an optional expression model (uint8 1 if absent; else int32 0 and a PCA, or int32 1 and blendshapes); from
version 3 optional landmark definitions (uint8 1 if absent; else uint64 n and n times text, int32); uint64 n and n
texture coordinates of 2 float64 (origin top left); in version 4 uint64 n and n times 3 int32 texture triangles. A
PCA is mean (3V, 1), orthonormal basis (3V, K), eigenvalues (K, 1), and uint64 n with n times 3 int32 triangles. A
matrix is int32 rows, int32 columns and float32, column by column. Blendshapes are uint64 n and n times text and a
matrix (3V, 1). Text is uint64 n and n bytes.

Lengths are millimetres; axes are ours. Shape = mean + basis · √eigenvalues · code, colours RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import read_bytes
from likeness.model.formats.arrays import Cursor
from likeness.model.formats.assembly import Parts, modes, numbered, points
from likeness.model.formats.landmark_mappings import read_contours, read_landmarks

_VERSIONS = range(1, 5)


@dataclass(frozen=True, eq=False)
class _Pca:
    mean: np.ndarray  # (3V,)
    basis: np.ndarray  # (3V, K), orthonormal
    variances: np.ndarray  # (K,)
    triangles: np.ndarray


def read_eos(path: StrPath, blendshapes: StrPath | None = None) -> Parts:
    """An eos model file, with its blendshapes, iBUG mapping and contours where they are known.

    Without ``blendshapes`` a file ``expression_blendshapes_V.bin`` in the same folder is taken if there is one. For
    files named ``sfm*``, so are ``ibug_to_sfm.txt`` and ``sfm_model_contours.json``.

    Raises:
        FileError: not such a file, cut off, or of a version that eos itself no longer reads.
    """
    cursor = Cursor(path, read_bytes(path), "an eos model (cereal binary)")
    version = cursor.number("<u4", "the version")
    if version not in _VERSIONS:
        hint = "a file of blendshapes goes beside its model (blendshapes=)"
        raise FileError(path, f"expected an eos model of version 1 to 4 (cereal binary), got {version}; {hint}")
    shape, color = _pca(cursor), _pca(cursor)
    names: tuple[str, ...] = ()
    expression = None
    mean = points("the mean", shape.mean)
    count = len(mean)
    if version >= 2 and not cursor.number("<u1", "the expression model"):
        names, expression, offset = _expression(cursor, count)
        mean = mean + offset
    if version >= 3 and not cursor.number("<u1", "the landmark definitions"):
        for _ in range(_counted(cursor, 12, "the landmark definitions")):
            _text(cursor)
            cursor.number("<i4", "a landmark")
    uv = cursor.take("<f8", 2 * _counted(cursor, 16, "the texture coordinates"), "the texture coordinates")
    uv_triangles = shape.triangles
    if version >= 4:
        uv_triangles = _triangles(cursor, "the texture triangles")
        uv_triangles = uv_triangles if len(uv_triangles) else shape.triangles
    if cursor.left:
        raise FileError(path, f"expected an eos model (cereal binary), got {cursor.left} bytes after its end")
    folder = Path(path).parent
    companion = folder / f"expression_blendshapes_{count}.bin"
    if blendshapes is not None or (expression is None and companion.is_file()):
        names, expression = read_blendshapes(blendshapes or companion, count)
    surrey = Path(path).name.startswith("sfm")
    mapping, contours = folder / "ibug_to_sfm.txt", folder / "sfm_model_contours.json"
    known = surrey and mapping.is_file() and contours.is_file()
    return Parts(
        name=Path(path).stem,
        unit=1.0,
        mean=mean,
        triangles=shape.triangles,
        identity=modes("shape", shape.basis, count, np.sqrt(shape.variances)),
        expression=expression,
        expression_names=names,
        color_mean=color.mean.reshape(-1, 3) if color.mean.size else None,
        color_basis=modes("colour", color.basis, count, np.sqrt(color.variances)) if color.mean.size else None,
        uv=uv.reshape(-1, 2) * [1, -1] + [0, 1],
        uv_triangles=uv_triangles,
        landmarks=read_landmarks(mapping) if known else None,
        contours=read_contours(contours) if known else None,
    )


def read_blendshapes(path: StrPath, count: int) -> tuple[tuple[str, ...], np.ndarray]:
    """An eos blendshapes file: names and (E, V, 3) offsets in mm, for a model of ``count`` vertices.

    Raises:
        FileError: not such a file, cut off, or for another number of vertices.
    """
    cursor = Cursor(path, read_bytes(path), "eos blendshapes (cereal binary)")
    names, shapes = _blendshapes(cursor, count)
    if cursor.left or not names:
        raise FileError(path, f"expected eos blendshapes (cereal binary), got {len(names)} and {cursor.left} bytes")
    return names, shapes


def _expression(cursor: Cursor, count: int) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | float]:
    """Names, modes, and what is added to the mean, of an expression model."""
    kind = cursor.number("<i4", "the kind of expression model")
    if kind == 1:
        return *_blendshapes(cursor, count), 0.0
    if kind != 0:
        raise FileError(cursor.path, f"expected {cursor.expected}, got an expression model of unknown kind {kind}")
    pca = _pca(cursor)
    basis = modes("expression", pca.basis, count, np.sqrt(pca.variances))
    return numbered(len(basis)), basis, points("the expression mean", pca.mean)


def _blendshapes(cursor: Cursor, count: int) -> tuple[tuple[str, ...], np.ndarray]:
    names, shapes = [], []
    for _ in range(_counted(cursor, 16, "the blendshapes")):
        names.append(_text(cursor))
        shape = _matrix(cursor, f"blendshape {names[-1][:30]!r}")
        if shape.shape != (3 * count, 1):
            raise FileError(
                cursor.path, f"expected blendshapes of {count} vertices, {names[-1][:30]!r} is {shape.shape}"
            )
        shapes.append(shape.reshape(count, 3))
    return tuple(names), np.array(shapes, np.float32).reshape(-1, count, 3)


def _pca(cursor: Cursor) -> _Pca:
    mean, basis = _matrix(cursor, "the mean"), _matrix(cursor, "the basis")
    variances = _matrix(cursor, "the eigenvalues").ravel()
    if not (variances >= 0).all():
        raise FileError(cursor.path, f"expected {cursor.expected} with eigenvalues that are not negative")
    return _Pca(mean.ravel(), basis, variances, _triangles(cursor, "the triangles"))


def _matrix(cursor: Cursor, what: str) -> np.ndarray:
    rows, columns = (cursor.number("<i4", what) for _ in range(2))
    if rows < 0 or columns < 0:
        raise FileError(cursor.path, f"expected {cursor.expected}, but {what} has the size {rows} x {columns}")
    return cursor.take("<f4", rows * columns, what).reshape(columns, rows).T


def _triangles(cursor: Cursor, what: str) -> np.ndarray:
    return cursor.take("<i4", 3 * _counted(cursor, 12, what), what).reshape(-1, 3)


def _counted(cursor: Cursor, least: int, what: str) -> int:
    """A list's length, checked against the bytes left: each item takes at least ``least``."""
    count = cursor.number("<u8", what)
    if count * least > cursor.left:
        raise FileError(
            cursor.path,
            f"expected {cursor.expected}, but {what} claim {count} items and {cursor.left} bytes are left",
        )
    return count


def _text(cursor: Cursor) -> str:
    length = cursor.number("<u8", "a name")
    return cursor.take("<u1", length, "a name").tobytes().decode("utf-8", errors="replace")
