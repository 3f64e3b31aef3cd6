"""What was looked at for a fusion, kept in a file: looking takes a quarter of an hour, learning from it a minute."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from likeness.errors import FileError, StrPath
from likeness.files import npz_bytes, write_atomically
from likeness.readers import read_npz
from likeness.train.photos.fusion_inputs import FusionInputs, Photographed

LOOKS = "looks.npz"
"""The file in the folder of a training."""

LARGEST = 1 << 32
"""Bytes that one array of a file may claim."""

PARTS = ("features", "code", "circumstances")


@dataclass(frozen=True, eq=False)
class Looks:
    """Looks at photographs and at rendered faces.

    Args:
        photographed: of known people.
        rendered: M looks.
        truth: (M, K) the codes of the rendered faces.
    """

    photographed: Photographed
    rendered: FusionInputs
    truth: np.ndarray


def looks_key(*parts: str) -> str:
    """What looks are of, as one short word: they are taken again only if all parts are the same."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def write_looks(path: StrPath, looks: Looks, key: str) -> None:
    """Write what :func:`read_looks` reads; raises FileError."""
    arrays: dict[str, np.ndarray] = {"key": np.array(key), "rows": looks.photographed.rows, "truth": looks.truth}
    for name, inputs in (("photo", looks.photographed.inputs), ("rendered", looks.rendered)):
        arrays |= {f"{name}_{part}": getattr(inputs, part) for part in PARTS}
    arrays |= {f"colour_{name}": said for name, said in looks.photographed.colours.items()}
    write_atomically(path, npz_bytes(arrays, compressed=False))


def read_looks(path: StrPath, key: str | None = None) -> Looks | None:
    """Read an ``.npz`` of :func:`write_looks`; None: it is of other things than ``key`` says.

    Raises:
        FileError: missing, damaged, or arrays whose lengths differ.
    """
    arrays = read_npz(path, "looks at faces", LARGEST)
    wanted = {"key", "rows", "truth", *(f"{name}_{part}" for name in ("photo", "rendered") for part in PARTS)}
    if missing := wanted - set(arrays):
        raise FileError(path, f"expected looks at faces, but {min(missing)} is missing")
    if arrays["key"].ndim or key not in (None, str(arrays["key"])):
        return None
    colours = {name.removeprefix("colour_"): arrays[name] for name in arrays if name.startswith("colour_")}
    photo, rendered = (FusionInputs(*(arrays[f"{name}_{part}"] for part in PARTS)) for name in ("photo", "rendered"))
    for count, some in (
        (len(arrays["rows"]), [*(getattr(photo, part) for part in PARTS), *colours.values()]),
        (len(arrays["truth"]), [getattr(rendered, part) for part in PARTS]),
    ):
        if any(one.ndim < 2 or len(one) != count for one in some):
            raise FileError(path, f"expected {count} looks, got arrays of {[one.shape for one in some]}")
    return Looks(Photographed(arrays["rows"], photo, colours), rendered, arrays["truth"])
