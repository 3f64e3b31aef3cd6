"""The regressor in ONNX: crops of faces in, coefficients out as a named tuple."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from likeness.assets import asset
from likeness.errors import FileError, StrPath
from likeness.files import file_digest
from likeness.networks.session import describing, has_gpu, open_session


class CropAnswer(NamedTuple):
    """What a regressor says of N crops of faces (or of one: then without the first dimension), float32.

    Attributes:
        identity: (N, K) codes.
        expression: (N, E) weights, 0 to 1.
        rotation: (N, 3, 3) model axes -> camera axes, in the crop's own camera
            (:meth:`likeness.Camera.from_crop_size`).
        translation: (N, 3) mm, camera axes.
        albedo: (N, A) weights.
        light: (N, 9, 3) spherical harmonics, see :mod:`likeness.render.lighting`.
        score: (N,) 0 to 1, the belief that it is a face.
        points: (N, P, 2) surface points, pixels of the crop; None: the network places none.
        deviation: (N, P) their standard deviations, pixels of the crop; None as ``points``.
        mean: (N, K) the network's part of the code, see :class:`Fusion`; None: nothing is fused.
        features: (N, H) what all is read from; None but where training asked for it.
        evidence: (N,) what the score was made of where several views were compared
            (:mod:`likeness.reconstruct.chance`); None elsewhere.
    """

    identity: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    albedo: np.ndarray
    light: np.ndarray
    score: np.ndarray
    points: np.ndarray | None = None
    deviation: np.ndarray | None = None
    mean: np.ndarray | None = None
    features: np.ndarray | None = None
    evidence: np.ndarray | None = None

    def select(self, rows: Any) -> CropAnswer:
        """Some of the crops, by a number (one crop), a slice or a mask."""
        return CropAnswer(**{name: values[rows] for name, values in self._asdict().items() if values is not None})


OUTPUTS = CropAnswer._fields[:7]
DENSE_OUTPUTS = ("points", "deviation")
"""What networks that place surface points say besides."""
MEAN_OUTPUT, FUSION_OUTPUT = "mean", "fusion"
"""What networks say besides whose features are fused with the points' fit: the mean, and (Q, K, K) for all photos."""

Precision = Literal["auto", "float", "int8"]

FLOAT_FILE, FLOAT_DIGEST = "float_file", "float_sha256"
"""Metadata of a quantised network: name and sha256 of the file beside it from which it reads its other weights."""


@dataclass(frozen=True, eq=False)
class Fusion:
    """What a fit of a photo's points adds to a code, see :mod:`likeness.reconstruct.refine`.

    Args:
        matrices: (Q, K, K).
    """

    matrices: np.ndarray

    def __call__(self, code: np.ndarray, circumstances: np.ndarray) -> np.ndarray:
        """The fit's code (K,) and the photo's circumstances (Q,) -> what is added to the network's mean, (K,)."""
        return np.asarray(np.tensordot(circumstances, self.matrices, 1) @ code)

    def symmetric(self, mirror: np.ndarray) -> Fusion:
        """The same, fair to both sides: a mirrored fit adds what is the mirror image of what the fit adds.

        Args:
            mirror: (K, K) P, the mirror image of a code c is ``c @ P``.
        """
        return Fusion(0.5 * (self.matrices + mirror.T @ self.matrices @ mirror.T))


@dataclass(frozen=True, eq=False)
class Network:
    """The regressor in ONNX: crops (N, S, S, 3) uint8 RGB -> :class:`CropAnswer`.

    Attributes:
        session: ONNX Runtime's.
        size: S.
        name: what it calls itself.
        model_name: of the face model that its coefficients are for.
        points: P, the surface points that it places; 0: none.
        fusion: how the points' fit enters the identity code; None: not at all.
        precision: of its convolutions.
        digest: sha256 of its file; of a quantised one, of the file of the network that it was made of.
    """

    session: Any
    size: int
    name: str
    model_name: str
    points: int = 0
    fusion: Fusion | None = None
    precision: Literal["float", "int8"] = "float"
    digest: str = ""

    @classmethod
    def load(cls, path: StrPath, threads: int | None = None) -> Network:
        """Open an exported regressor.

        Args:
            path: the ``.onnx`` file.
            threads: CPU threads; None: ONNX Runtime's choice.

        Raises:
            FileError: missing, damaged, or not a regressor of this package; or it is a quantised one, and the file
                beside it is not the network that it was made of.
        """
        session = open_session(path, "a regressor", threads=threads, gpu=True)
        with describing(path, "a regressor"):
            outputs = {output.name: output.shape for output in session.get_outputs()}
            metadata = session.get_modelmeta().custom_metadata_map
            if set(OUTPUTS) - set(outputs):
                raise FileError(path, f"expected outputs {OUTPUTS}, got {sorted(outputs)}")
            size = int(session.get_inputs()[0].shape[1])
            points = 0
            if set(DENSE_OUTPUTS) <= set(outputs):
                points = outputs["deviation"][1]
                if not isinstance(points, int) or outputs["points"][1:] != [points, 2]:
                    raise FileError(path, f"expected points (n, P, 2) and deviation (n, P), got {outputs}")
            name = metadata.get("name", Path(path).stem)
            fusion = _fusion(path, session, outputs, size)
            precision: Literal["float", "int8"] = "int8" if _is_quantised(path, metadata) else "float"
            digest = metadata.get(FLOAT_DIGEST) or file_digest(path)
            return cls(session, size, name, metadata.get("face_model", ""), points, fusion, precision, digest)

    def __call__(self, crops: np.ndarray) -> CropAnswer:
        """What the network says of crops (N, S, S, 3) uint8 RGB."""
        names = [*OUTPUTS, *(DENSE_OUTPUTS if self.points else ()), *(() if self.fusion is None else (MEAN_OUTPUT,))]
        return CropAnswer(**dict(zip(names, self.session.run(names, {"image": crops}), strict=True)))


def default_network(precision: Precision = "auto") -> Path:
    """The embedded regressor's file.

    Args:
        precision: ``"float"``; ``"int8"``: with convolutions in 8 bits, half the time on processors that have
            instructions for them; ``"auto"``: int8, but float where ONNX Runtime has a GPU, which it would slow down.

    Raises:
        FileError: it is missing or damaged.
        ValueError: another precision.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"expected a precision of {get_args(Precision)}, got {precision!r}")
    exact = precision == "float" or (precision == "auto" and has_gpu())
    return asset("regressor.onnx" if exact else "regressor_int8.onnx")


def _is_quantised(path: StrPath, metadata: dict[str, str]) -> bool:
    """Whether the network reads from another one's file; FileError where that is not the one."""
    if FLOAT_DIGEST not in metadata:
        return False
    other = Path(path).parent / Path(metadata.get(FLOAT_FILE, "")).name
    if file_digest(other) != metadata[FLOAT_DIGEST]:
        raise FileError(path, f"was quantised from another network than {other} (its sha256 differs)")
    return True


def _fusion(path: StrPath, session: Any, outputs: dict[str, Any], size: int) -> Fusion | None:
    """The matrices that the file holds, if it does."""
    if MEAN_OUTPUT not in outputs or FUSION_OUTPUT not in outputs:
        return None
    modes = outputs[MEAN_OUTPUT][1]
    matrices = session.run([FUSION_OUTPUT], {"image": np.zeros((1, size, size, 3), np.uint8)})[0]
    if matrices.ndim != 3 or matrices.shape[1:] != (modes, modes) or not np.isfinite(matrices).all():
        raise FileError(path, f"expected a fusion (Q, {modes}, {modes}), finite, got {matrices.shape}")
    return Fusion(matrices.astype(np.float64))
