"""Results that are there, of the same content, with the same options and models: they are not made again.

So a run that was stopped goes on where it was, and of what grew only that is done which changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from likeness.assets import asset
from likeness.files import digest, file_digest, json_bytes
from likeness.result_folder import Record, ResultFolder, Source
from likeness.version import __version__

if TYPE_CHECKING:
    from likeness.reconstruct.reconstructor import Reconstructor

NOTE = "made before"
"""What is said of such results."""

ASSETS = ("finder.onnx", "glasses.onnx", "whitening.npz", "shared_errors.npz", "skin_mask.npz", "uv_layout.npz")
"""What heads depend on beside network, face model and points."""


class Keys:
    """Of results: a digest of all that they depend on.

    Args:
        reconstructor: models count by their content, which is read here, once.
        version: of how results of this kind are made; with another number, all are made again.
        options: of the command, as far as results depend on them.
    """

    def __init__(self, reconstructor: Reconstructor, version: int, **options: Any) -> None:
        # Here, since it loads NumPy, which the command line's help does without.
        from likeness.reconstruct.video_chunks import made_by

        self._is_known = reconstructor.teacher is None
        detector = reconstructor.yunet_model
        self._depends = {
            "version": f"{__version__} {version}",
            **options,
            "min_score": reconstructor.min_score,
            "views": reconstructor.views,
            "detector": "" if detector is None else file_digest(detector),
            "assets": [file_digest(asset(name)) for name in ASSETS],
            **made_by(reconstructor),
        }

    def of(self, *seen: Any) -> str:
        """The key of what is made of ``seen``; empty where it is not known what else it depends on."""
        return digest(json_bytes({**self._depends, "seen": seen})) if self._is_known else ""


def found_before(folder: ResultFolder, names: Iterable[str], source: Source, key: str) -> tuple[str, Record | None]:
    """The first of the names under which there is what was made of the same, and its record; no name and none where
    there is none, or the key is empty."""
    for name in names if key else ():
        record = folder.noted(name, source, key)
        if record is not None:
            return name, record
    return "", None
