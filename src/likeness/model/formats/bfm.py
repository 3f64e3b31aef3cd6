"""The Basel Face Models: 2009 (MATLAB), 2017 and 2019 (HDF5).

2009 (Paysan et al., AVSS 2009; ``01_MorphableModel.mat``): ``shapeMU`` (3V, 1), ``shapePC`` (3V, K), ``shapeEV``
(K, 1; standard deviations), the same as ``texMU``, ``texPC``, ``texEV`` for sRGB 0 to 255, and ``tl`` (F, 3) from
1, clockwise. Micrometres. Shape = shapeMU + shapePC · (shapeEV · code). Its expressions are Guo et al.'s
``Exp_Pca.bin`` ("CNN-based real-time dense face reconstruction", TPAMI 2018; layout as read by Deng et al.'s
Deep3DFaceReconstruction): int32 E, float32 mean (3N) and E modes (3N each), micrometres, on the N = 53,215 vertices
that ``trimIndex`` in ``BFM_exp_idx.mat`` picks from 1; ``std_exp.txt`` has the E standard deviations. Its mean is
not added, as in Deng et al.

2017 and 2019 (Gerig et al., "Morphable Face Models - An Open Framework", FG 2018; statismo's layout, full, bfm and
face12): ``shape``, ``expression`` and ``color``, each with ``model/mean`` (3V), ``model/pcaBasis`` (3V, K;
orthonormal) and ``model/pcaVariance`` (K), and ``representer/cells`` (3, F). Millimetres, colours sRGB 0 to 1.
Shape = both means + both bases · (√variance · code). ``metadata/landmarks/json`` names points of the mean; the
corners of the eyes tell the origin.

Axes are ours in both. Codes and expression weights are about N(0, 1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.extras import import_extra
from likeness.files import read_bytes
from likeness.model.formats.arrays import Cursor
from likeness.model.formats.assembly import Parts, modes, numbered, points
from likeness.model.formats.mat import read_mat
from likeness.readers import check_growth, read_json

KEYS_2009 = ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV", "tl")
_EYE_CORNERS = tuple(f"{side}.eye.corner_{corner}" for side in ("right", "left") for corner in ("outer", "inner"))


def read_bfm_2009(path: StrPath, arrays: dict[str, np.ndarray], blendshapes: StrPath | None = None) -> Parts:
    """BFM 2009 of its file's variables.

    Guo et al.'s expressions come from ``blendshapes`` or ``Exp_Pca.bin`` in the same folder, if any.

    With expressions the model is reduced to the vertices that have them, in the order of ``trimIndex``.

    Raises:
        FileError: truncated, not such a file, or the files that belong to the expressions are missing.
    """
    missing = [key for key in KEYS_2009 if key not in arrays]
    if missing:
        raise FileError(path, f"expected the Basel Face Model 2009, but {', '.join(missing)} are missing")
    mean = points("shapeMU", arrays["shapeMU"].astype(np.float32))
    count = len(mean)
    identity = modes("shape", arrays["shapePC"], count, arrays["shapeEV"])
    color_mean = points("texMU", arrays["texMU"].astype(np.float32)) / 255
    color_basis = modes("texture", arrays["texPC"], count, arrays["texEV"] / 255)
    triangles = arrays["tl"].astype(np.int64) - 1
    companion = Path(path).parent / "Exp_Pca.bin"
    source = blendshapes or (companion if companion.is_file() else None)
    expression = None
    if source is not None:
        expression, kept = _guo_expressions(source, count)
        mean, identity = mean[kept], identity[:, kept]
        color_mean, color_basis = color_mean[kept], color_basis[:, kept]
        triangles = _renumbered(triangles, kept, count)
    return Parts(
        name="bfm-2009",
        unit=1e-3,
        mean=mean,
        triangles=triangles,
        identity=identity,
        expression=expression,
        expression_names=numbered(0 if expression is None else len(expression)),
        color_mean=color_mean,
        color_basis=color_basis,
    )


def read_bfm_h5(path: StrPath) -> Parts:
    """BFM 2017 or 2019.

    Raises:
        FileError: truncated, or not such a file.
        MissingExtraError: h5py is not installed.
    """
    h5py = import_extra("h5py", "reading the Basel Face Model (.h5)")
    try:
        with h5py.File(path, "r") as file:
            reader = _H5(path, file)
            return _parts_2017(path, reader)
    except (FileError, ValueError):
        raise
    except Exception as error:  # h5py raises whatever HDF5 stumbles over
        reason = str(error).replace("\n", " ")[:160]
        raise FileError(path, f"cannot be read as HDF5 ({type(error).__name__}: {reason})") from error


class _H5:
    """Datasets of one HDF5 file, checked before they are read."""

    def __init__(self, path: StrPath, file: Any) -> None:
        self.path, self._file, self._size = path, file, Path(path).stat().st_size

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def __getitem__(self, name: str) -> np.ndarray:
        dataset = self._find(name)
        if dataset is None:
            raise FileError(self.path, f"expected the Basel Face Model 2017 or 2019, but {name} is missing")
        if dataset.dtype.kind not in "fiu":
            raise FileError(self.path, f"expected numbers in {name}, got {dataset.dtype}")
        check_growth(self.path, name, dataset.nbytes, self._size)
        return np.asarray(dataset[()])

    def text(self, name: str) -> str | None:
        """A dataset of one text (as a string or as bytes); None if there is none."""
        dataset = self._find(name)
        if dataset is None or dataset.size > 1_000_000:
            return None
        check_growth(self.path, name, dataset.nbytes, self._size)
        value = dataset[()]
        value = value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else value
        value = value.ravel()[0] if isinstance(value, np.ndarray) and value.size else value
        return value.decode("utf-8", errors="replace").rstrip("\0") if isinstance(value, bytes) else str(value)

    def _find(self, name: str, hops: int = 4) -> Any:
        """A dataset that lies in this very file: external links, external and virtual storage lead elsewhere."""
        import h5py

        node, parts = self._file, name.strip("/").split("/")
        for i, part in enumerate(parts):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            if isinstance(link, h5py.SoftLink) and link.path.startswith("/") and hops:
                return self._find("/".join([link.path, *parts[i + 1 :]]), hops - 1)
            if not isinstance(link, h5py.HardLink):
                return None
            node = node[part]
        if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external:
            return None
        return node


def _parts_2017(path: StrPath, file: _H5) -> Parts:
    mean = points("shape/model/mean", file["shape/model/mean"].astype(np.float64))
    count = len(mean)
    expression = None
    cells = file["shape/representer/cells"]
    if cells.ndim != 2 or 3 not in cells.shape or cells.dtype.kind not in "fiu":
        raise FileError(path, f"expected shape/representer/cells (3, F), got {cells.shape}")
    if "expression/model/mean" in file:
        expression = _scaled(file, "expression", count)
        mean = mean + points("expression/model/mean", file["expression/model/mean"])
    has_color = "color/model/mean" in file
    eyes = _eyes(file.text("metadata/landmarks/json"))
    return Parts(
        name=Path(path).stem,
        unit=1.0,
        mean=mean,
        triangles=(cells.T if len(cells) == 3 else cells).astype(np.int64),
        identity=_scaled(file, "shape", count),
        expression=expression,
        expression_names=numbered(0 if expression is None else len(expression)),
        color_mean=points("color/model/mean", file["color/model/mean"]) if has_color else None,
        color_basis=_scaled(file, "color", count) if has_color else None,
        eyes=eyes,
    )


def _scaled(file: _H5, model: str, count: int) -> np.ndarray:
    variance = file[f"{model}/model/pcaVariance"]
    if not (variance >= 0).all():
        raise ValueError(f"expected {model}/model/pcaVariance not to be negative")
    return modes(model, file[f"{model}/model/pcaBasis"], count, np.sqrt(variance))


def _eyes(text: str | None) -> np.ndarray | None:
    """(2, 3) between the corners of the right and the left eye, from ``[{"id": ..., "coordinates": [x, y, z]}]``."""
    try:
        points_ = read_json("metadata/landmarks/json", "named points", text or "[]")
        named = {point["id"]: [float(x) for x in point["coordinates"]] for point in points_}
        corners = np.array([named[corner] for corner in _EYE_CORNERS])
    except (FileError, ValueError, KeyError, TypeError):
        return None  # only the origin depends on it
    return corners.reshape(2, 2, 3).mean(1) if corners.shape == (4, 3) and np.isfinite(corners).all() else None


def _guo_expressions(path: StrPath, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Modes (E, N, 3), and the N vertices of the model with ``count`` that they move."""
    cursor = Cursor(path, read_bytes(path), "Guo et al.'s expressions (Exp_Pca.bin)")
    modes_count = cursor.number("<i4", "the number of modes")
    size, odd = divmod(cursor.left, 12 * (modes_count + 1)) if 0 < modes_count < 10_000 else (0, 1)
    if odd or not size:
        raise FileError(path, f"expected Guo et al.'s expressions (Exp_Pca.bin), got {modes_count} modes")
    cursor.take("<f4", 3 * size, "the mean")
    basis = cursor.take("<f4", 3 * size * modes_count, "the modes").reshape(modes_count, size, 3)
    deviations = _deviations(Path(path).with_name("std_exp.txt"), modes_count)
    kept = np.arange(count)
    if size != count:
        kept = _trim_index(Path(path).with_name("BFM_exp_idx.mat"), size, count)
    return basis * deviations.astype(np.float32)[:, None, None], kept


def _deviations(path: Path, count: int) -> np.ndarray:
    words = read_bytes(path).split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise FileError(path, f"expected {count} standard deviations as text") from error
    if len(values) != count or not np.isfinite(values).all():
        raise FileError(path, f"expected {count} standard deviations as text, got {len(values)}")
    return values


def _trim_index(path: Path, size: int, count: int) -> np.ndarray:
    found = read_mat(path, ("trimIndex",)).get("trimIndex", np.zeros(0))
    kept = found.ravel().astype(np.int64) - 1
    if len(kept) != size or kept.min() < 0 or kept.max() >= count or len(np.unique(kept)) != size:
        raise FileError(path, f"expected trimIndex to pick {size} of {count} vertices, got {len(kept)} numbers")
    return kept


def _renumbered(triangles: np.ndarray, kept: np.ndarray, count: int) -> np.ndarray:
    """The triangles between ``kept`` vertices, in their new numbers."""
    if triangles.size and (triangles.min() < 0 or triangles.max() >= count):
        raise ValueError(f"expected triangles among {count} vertices, got {triangles.min()} to {triangles.max()}")
    new = np.full(count, -1, np.int64)
    new[kept] = np.arange(len(kept))
    moved = new[triangles]
    return moved[(moved >= 0).all(axis=1)]
