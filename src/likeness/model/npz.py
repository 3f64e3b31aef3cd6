"""Face models on disk: one ``.npz`` without pickles, bases as 16-bit integers with one scale per mode.

A corrupt or foreign file gives a :class:`likeness.FileError`; nothing in it is executed.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import npz_bytes, write_atomically
from likeness.geometry.landmarks import LandmarkMap
from likeness.model.topology import Topology
from likeness.readers import read_npz

FORMAT = "likeness face model 1"
LARGEST = 400_000_000  # bytes of one array; more than any model of one head needs


class ModelFields(TypedDict):
    """The fields of a :class:`likeness.FaceModel`, which see."""

    mean: np.ndarray
    identity_basis: np.ndarray
    expression_basis: np.ndarray
    albedo_mean: np.ndarray
    albedo_basis: np.ndarray
    albedo_names: tuple[str, ...]
    topology: Topology
    name: str
    expression_names: tuple[str, ...]
    identity_space: str


def save_fields(path: StrPath, model: ModelFields) -> None:
    """Write a model; rounding the bases to 16 bits costs less than a micrometre per unit of code."""
    arrays: dict[str, np.ndarray] = {
        "format": np.array(FORMAT),
        "name": np.array(model["name"]),
        "mean": model["mean"].astype(np.float32),
        "albedo_mean": model["albedo_mean"].astype(np.float32),
        "albedo_names": np.array(model["albedo_names"], np.str_),
        "expression_names": np.array(model["expression_names"], np.str_),
        "identity_space": np.array(model["identity_space"]),
    }
    for key, basis in (
        ("identity_basis", model["identity_basis"]),
        ("expression_basis", model["expression_basis"]),
        ("albedo_basis", model["albedo_basis"]),
    ):
        arrays[f"{key}_q"], arrays[f"{key}_scale"] = quantize(basis)
    topology, landmarks = model["topology"], model["topology"].landmarks
    for key in ("triangles", "quads", "uv_triangles"):
        arrays[key] = getattr(topology, key).astype(np.int32)
    arrays["uv"] = topology.uv.astype(np.float32)
    if topology.mirror is not None:
        arrays["mirror"] = topology.mirror.astype(np.int32)
    if topology.regions:
        arrays["region_names"] = np.array(list(topology.regions))
        arrays["regions"] = np.packbits(np.stack(list(topology.regions.values())), axis=1)
    if landmarks is not None:
        for key in ("inner_vertices", "contour_vertices"):
            arrays[key] = getattr(landmarks, key).astype(np.int32)
        for key in ("inner_weights", "contour_weights", "outward"):
            arrays[key] = getattr(landmarks, key).astype(np.float32)
    write_atomically(path, npz_bytes(arrays))


def load_fields(path: StrPath) -> ModelFields:
    """Read what :func:`save_fields` wrote; see :meth:`likeness.FaceModel.load`."""
    arrays = read_npz(path, "a face model", LARGEST)
    try:
        if str(arrays["format"]) != FORMAT:
            raise FileError(path, f"expected {FORMAT!r}, got {str(arrays['format'])[:60]!r}")
        return _fields_of(arrays)
    except KeyError as error:
        raise FileError(path, f"expected a {FORMAT}, but {error.args[0]} is missing") from error
    except (ValueError, TypeError, IndexError) as error:
        raise FileError(path, f"expected a {FORMAT}: {error}") from error


def quantize(basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, ...) floats -> (N, ...) int16 and (N,) scales, so that ``basis ≈ q · scale``."""
    scale = np.abs(basis).max(axis=tuple(range(1, basis.ndim))) / 32767
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    shaped = scale.reshape(-1, *[1] * (basis.ndim - 1))
    return np.rint(basis / shaped).astype(np.int16), scale


def _fields_of(arrays: dict[str, np.ndarray]) -> ModelFields:
    count = len(arrays["mean"])
    regions: dict[str, np.ndarray] = {}
    if "region_names" in arrays:
        packed = arrays["regions"]
        if packed.shape != (len(arrays["region_names"]), -(-count // 8)):  # unpackbits fills up what is missing
            raise ValueError(f"regions must be {-(-count // 8)} bytes each, got {packed.shape}")
        bits = np.unpackbits(packed, axis=1, count=count).astype(bool)
        regions = dict(zip((str(name) for name in arrays["region_names"]), bits, strict=True))
    landmarks = None
    if "inner_vertices" in arrays:
        landmarks = LandmarkMap(
            _indices(arrays, "inner_vertices", count),
            _finite(arrays, "inner_weights"),
            _indices(arrays, "contour_vertices", count),
            _finite(arrays, "contour_weights"),
            _finite(arrays, "outward"),
        )
    topology = Topology(
        _indices(arrays, "triangles", count),
        _indices(arrays, "quads", len(arrays["triangles"]) - 1),
        arrays["uv"],
        _indices(arrays, "uv_triangles", len(arrays["uv"])),
        _indices(arrays, "mirror", count) if "mirror" in arrays else None,
        regions,
        landmarks,
    )
    return ModelFields(
        mean=_finite(arrays, "mean"),
        identity_basis=_dequantize(arrays, "identity_basis"),
        expression_basis=_dequantize(arrays, "expression_basis"),
        albedo_mean=_finite(arrays, "albedo_mean"),
        albedo_basis=_dequantize(arrays, "albedo_basis"),
        albedo_names=tuple(str(name) for name in arrays["albedo_names"]),
        topology=topology,
        name=str(arrays["name"]),
        expression_names=tuple(str(name) for name in arrays["expression_names"]),
        identity_space=str(arrays.get("identity_space", "gaussian")),
    )


def _indices(arrays: dict[str, np.ndarray], key: str, count: int) -> np.ndarray:
    values = arrays[key]
    if values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= count):
        raise ValueError(f"{key} must be indices below {count}")
    return values.astype(np.int32)


def _finite(arrays: dict[str, np.ndarray], key: str) -> np.ndarray:
    values: Any = arrays[key]
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ValueError(f"{key} must be finite numbers")
    return np.asarray(values, np.float32)


def _dequantize(arrays: dict[str, np.ndarray], key: str) -> np.ndarray:
    quantized, scale = arrays[f"{key}_q"], _finite(arrays, f"{key}_scale")
    if quantized.dtype.kind not in "iu" or scale.ndim != 1:
        raise ValueError(f"{key} must be integers with a scale each, got {quantized.dtype} and {scale.shape}")
    return quantized.astype(np.float32) * scale[:, None, None]
