"""Files of codes, as this package and the programs around other face models write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likeness.cli.output import complain
from likeness.errors import FileError, printable
from likeness.model.face_model import FaceModel
from likeness.model.formats.mat import read_mat
from likeness.readers import read_json, read_npy, read_npz

SUFFIXES = (".json", ".npz", ".npy", ".mat")

IDENTITY = ("identity", "shape", "shapecode", "betas", "id", "id_coeff")
EXPRESSION = ("expression", "exp", "expcode", "expr", "exp_coeff")
"""What the arrays are called: here, by DECA, EMOCA, SMPL-X's tools and Deep3DFaceRecon. Programs that fit FLAME often
use the first 100 of its 300 modes."""

LARGEST_CODE = 1e4
"""Of a code's numbers and expression weights: what is a thousand times as unusual is no face, and overflows."""

Codes = tuple[np.ndarray, np.ndarray | None]


def read_codes(path: Path, model: FaceModel) -> Codes:
    """Identity (K,) or (N, K) and expression (E,) or (N, E), None where there is none.

    Args:
        path: ``.json`` with "identity" and "expression" (weights, or name -> weight); ``.npz`` or ``.mat`` with
            arrays called as in :data:`IDENTITY` and :data:`EXPRESSION`; ``.npy`` of identities. Arrays may be of the
            model's first modes: the others are 0 then, and a line says so.
        model: that they are of.

    Raises:
        FileError: missing, damaged, or of another model.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        identity, expression = _of_json(path, model)
    elif suffix in SUFFIXES:
        identity, expression = _of_arrays(path)
        sizes = len(model.identity_basis), len(model.expression_basis)
        identity = _padded(path, "identity", identity, sizes[0])
        expression = None if expression is None else _padded(path, "expression", expression, sizes[1])
    else:
        raise FileError(path, f"expected codes ({', '.join(SUFFIXES)}) or a mesh")
    _check(path, model, "identity", identity, (*identity.shape[:-1], len(model.identity_basis)))
    if expression is not None:
        _check(path, model, "expression", expression, (*identity.shape[:-1], len(model.expression_basis)))
    return identity, expression


def _of_json(path: Path, model: FaceModel) -> Codes:
    try:
        content = read_json(path, 'codes as "identity"')
        identity = np.array(content["identity"], np.float64)
        weights: Any = content.get("expression")
        if isinstance(weights, dict):
            weights = [float(weights.get(name, 0.0)) for name in model.expression_names]
        return identity, None if weights is None else np.array(weights, np.float64)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise FileError(path, f'expected codes as "identity" ({type(error).__name__}: {str(error)[:80]})') from error


def _of_arrays(path: Path) -> Codes:
    if path.suffix.lower() == ".npy":
        return read_npy(path, "codes (N, K)"), None
    if path.suffix.lower() == ".mat":
        arrays = read_mat(path, (*IDENTITY, *EXPRESSION))
    else:
        arrays = read_npz(path, 'codes as "identity"')
    identity, expression = (next((name for name in known if name in arrays), "") for known in (IDENTITY, EXPRESSION))
    if not identity:
        got = printable(", ".join(arrays)[:80]) or "none"
        raise FileError(path, f"expected codes as {' or '.join(IDENTITY)}, got {got}")
    return arrays[identity], arrays[expression] if expression else None


def _padded(path: Path, what: str, values: np.ndarray, size: int) -> np.ndarray:
    """Codes of the first modes as codes of all."""
    missing = size - (values.shape[-1] if values.ndim else size)
    if missing <= 0 or values.ndim > 2 or values.dtype.kind not in "fiu" or not values.size:
        return values
    complain(f"{printable(path)}: {what} of the first {values.shape[-1]} of {size} modes; the others are 0")
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])


def _check(path: Path, model: FaceModel, what: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.dtype.kind not in "fiu" or values.shape != shape or values.ndim not in (1, 2):
        raise FileError(path, f"expected {what} of {model.name} ({shape[-1]}), got {values.dtype} {values.shape}")
    if len(values) == 0:
        raise FileError(path, f"expected {what} of somebody, got none")
    if not (np.abs(values.astype(np.float64)) <= LARGEST_CODE).all():
        raise FileError(path, f"expected finite {what} up to {LARGEST_CODE:g}")
